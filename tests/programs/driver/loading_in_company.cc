// What loading takes is charged exactly, whatever other threads allocate and free meanwhile: in each round a
// module with variables is loaded while three threads are at it, then they let go of everything and the
// slice's free memory says what the module has. Arguments: the limit of the slice in bytes. Nobody else uses
// the slice.
#include <atomic>
#include <string>
#include <thread>

#include "driver_check.h"

namespace {

constexpr size_t kVariable = 3u << 20;
constexpr int kRounds = 150;

std::string source() {
  return ".version 6.4\n.target sm_70\n.address_size 64\n.visible .global .align 4 .b8 variable[" +
         std::to_string(kVariable) + "];\n.visible .entry nothing() { ret; }\n";
}

size_t free_memory() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

// Threads that allocate and free until they are told to stop, and then hold nothing.
class Company {
 public:
  explicit Company(CUcontext context) {
    for (const auto body : {linear, ordered, arrays}) {
      threads_.emplace_back([this, context, body] {
        CU_CHECK(cuCtxSetCurrent(context));
        while (!done_) body(turns_);
      });
    }
  }
  ~Company() {
    done_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Company(const Company&) = delete;
  Company& operator=(const Company&) = delete;
  void await_turns(uint64_t count) const {
    for (const uint64_t before = turns_; turns_ < before + count;) std::this_thread::yield();
  }

 private:
  static void linear(std::atomic<uint64_t>& turns) {
    CUdeviceptr address = 0;
    CU_CHECK(cuMemAlloc_v2(&address, 5u << 20));
    CU_CHECK(cuMemFree_v2(address));
    ++turns;
  }
  static void ordered(std::atomic<uint64_t>& turns) {
    CUdeviceptr address = 0;
    CU_CHECK(cuMemAllocAsync(&address, 7u << 20, CU_STREAM_PER_THREAD));
    CU_CHECK(cuMemFreeAsync(address, CU_STREAM_PER_THREAD));
    ++turns;
  }
  static void arrays(std::atomic<uint64_t>& turns) {
    const CUDA_ARRAY_DESCRIPTOR shape{1024, 256, CU_AD_FORMAT_FLOAT, 1};
    CUarray array = nullptr;
    CU_CHECK(cuArrayCreate_v2(&array, &shape));
    CU_CHECK(cuArrayDestroy(array));
    ++turns;
  }

  std::atomic<uint64_t> turns_{0};
  std::atomic<bool> done_{false};
  std::vector<std::thread> threads_;
};

}  // namespace

int main(int argc, char** argv) {
  const check::Context context;
  const std::string ptx = source();
  const size_t limit = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0;
  const size_t before = free_memory();
  REQUIRE(before <= limit || limit == 0, "%zu bytes are free of %zu", before, limit);
  for (int round = 0; round < kRounds; ++round) {
    CUmodule module = nullptr;
    {
      const Company company(context.get());
      company.await_turns(3);
      CU_CHECK(cuModuleLoadData(&module, ptx.c_str()));
      company.await_turns(3);
    }
    const size_t taken = before - free_memory();
    // Without a limit others use the device too.
    if (limit != 0)
      REQUIRE(taken == kVariable, "round %d: %zu bytes taken, not %zu", round, taken, kVariable);
    CU_CHECK(cuModuleUnload(module));
  }
  if (limit != 0) REQUIRE(free_memory() == before, "%zu bytes were free, %zu are now", before, free_memory());
  return check::pass("%d modules loaded while others allocate", kRounds);
}
