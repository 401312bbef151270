// What ends with a context: managed memory and managed variables that were made in it. Code that is loaded
// again begins anew, wherever its variables are then.
#include <functional>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr char kManaged[] =
    ".version 6.3\n.target sm_70\n.address_size 64\n.visible .global .attribute(.managed) .u32 word = 5;\n";
constexpr uint32_t kCount = 5000;

bool is_managed(CUdeviceptr address) {
  uint32_t managed = 0;
  return cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address) == CUDA_SUCCESS &&
         managed != 0;
}

struct Made {
  CUdeviceptr memory = 0, word = 0;
};

// In the current context, which has nothing yet.
Made work() {
  Made made;
  CUmodule kernels = nullptr, variables = nullptr;
  CU_CHECK(cuModuleLoadData(&kernels, memory_ptx));
  CU_CHECK(cuModuleLoadData(&variables, kManaged));
  size_t bytes = 0;
  CU_CHECK(cuModuleGetGlobal_v2(&made.word, &bytes, variables, "word"));
  auto* const word = reinterpret_cast<volatile uint32_t*>(made.word);
  REQUIRE(*word == 5, "the variable is %u at first, not 5", *word);
  CU_CHECK(cuMemAllocManaged(&made.memory, kCount * sizeof(uint32_t), CU_MEM_ATTACH_GLOBAL));
  auto* const values = reinterpret_cast<volatile uint32_t*>(made.memory);
  for (uint32_t i = 0; i < kCount; ++i) values[i] = 7;
  CUfunction add_index = nullptr;
  CU_CHECK(cuModuleGetFunction(&add_index, kernels, "add_index"));
  check::launch(add_index, {(kCount + 127) / 128}, {128}, nullptr, made.memory, kCount);
  check::launch(add_index, {1}, {1}, nullptr, made.word, uint32_t{1});
  CU_CHECK(cuCtxSynchronize());
  for (uint32_t i = 0; i < kCount; ++i) REQUIRE(values[i] == 7 + i, "values[%u] is %u", i, values[i]);
  *word = 99;
  REQUIRE(is_managed(made.memory) && is_managed(made.word), "managed memory is not told of as such");
  return made;
}

void check_rounds(const char* whose, const std::function<void()>& begin, const std::function<void()>& end) {
  for (int round = 0; round < 3; ++round) {
    begin();
    const Made made = work();
    end();
    REQUIRE(!is_managed(made.memory) && !is_managed(made.word), "managed memory outlives %s", whose);
  }
}

}  // namespace

int main() {
  CU_CHECK(cuInit(0));
  CUdevice device = 0;
  CU_CHECK(cuDeviceGet(&device, 0));
  CUcontext context = nullptr;
  const auto retain = [&] {
    CU_CHECK(cuDevicePrimaryCtxRetain(&context, device));
    CU_CHECK(cuCtxSetCurrent(context));
  };
  check_rounds("a primary context that is reset", retain,
               [&] { CU_CHECK(cuDevicePrimaryCtxReset_v2(device)); });
  check_rounds("a primary context that is released", retain,
               [&] { CU_CHECK(cuDevicePrimaryCtxRelease_v2(device)); });
  check_rounds(
      "a context that is destroyed", [&] { CU_CHECK(cuCtxCreate_v2(&context, 0, device)); },
      [&] { CU_CHECK(cuCtxDestroy_v2(context)); });
  return check::pass("managed memory ends with its context");
}
