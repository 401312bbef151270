// Calls that wait while nothing but they seems to be going on: for a function of the program, for what
// another thread writes, and for work behind a module that has gone.
#include <atomic>
#include <thread>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr char kManaged[] =
    ".version 6.3\n.target sm_70\n.address_size 64\n.visible .global .attribute(.managed) .u32 word = 5;\n";

void for_a_function(CUstream stream) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> ran{0};
    CU_CHECK(cuCtxSynchronize());
    CU_CHECK(cuLaunchHostFunc(
        stream, [](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &ran));
    if (round % 2 == 0) {
      CU_CHECK(cuStreamSynchronize(stream));
    } else {
      CU_CHECK(cuCtxSynchronize());
    }
    REQUIRE(ran == 1, "a function ran %d times before the wait for it was over", ran.load());
  }
}

void for_another_thread(CUcontext context, CUstream stream) {
  const check::DeviceArray<uint32_t> word(std::vector<uint32_t>(1, 0));
  for (uint32_t round = 1; round <= 10; ++round) {
    CU_CHECK(cuCtxSynchronize());
    CU_CHECK(cuStreamWaitValue32_v2(stream, word.get(), round, CU_STREAM_WAIT_VALUE_GEQ));
    std::thread waits([&] {
      CU_CHECK(cuCtxSetCurrent(context));
      CU_CHECK(cuStreamSynchronize(stream));
    });
    CUstream other = nullptr;
    CU_CHECK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    CU_CHECK(cuStreamWriteValue32_v2(other, word.get(), round, 0));
    waits.join();
    CU_CHECK(cuStreamDestroy_v2(other));
  }
}

void behind_a_module() {
  constexpr uint32_t kCount = 1000;
  const check::Module module(memory_ptx);
  {
    const check::Module managed(kManaged);
    auto* word = reinterpret_cast<uint32_t*>(managed.variable("word", sizeof(uint32_t)));
    CU_CHECK(cuCtxSynchronize());
    REQUIRE(*word == 5, "the variable is %u", *word);
    *word = 6;
  }
  check::DeviceArray<uint32_t> values(std::vector<uint32_t>(kCount, 7));
  check::launch(module.function("add_index"), {8}, {128}, nullptr, values.get(), kCount);
  CU_CHECK(cuCtxSynchronize());
  REQUIRE(values.download()[3] == 10, "a kernel after a module with a managed variable has gone");
}

}  // namespace

int main() {
  const check::Context context;
  CUstream stream = nullptr;
  CU_CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for_a_function(stream);
  for_another_thread(context.get(), stream);
  behind_a_module();
  CU_CHECK(cuStreamDestroy_v2(stream));
  return check::pass("functions, other threads and modules that have gone");
}
