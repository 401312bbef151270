// Variables of modules: constants and globals with initial values and addresses in them, one copy for each
// module and context, what they take of the device and of a slice, and one that does not fit.
#include <string>

#include "driver_check.h"

namespace {

const std::string kHeader = ".version 6.4\n.target sm_70\n.address_size 64\n";
constexpr size_t kLargeBytes = 48u << 20;

std::string variables(size_t bytes) {
  return kHeader + ".visible .global .align 8 .b8 large[" + std::to_string(bytes) + R"(];
.visible .const .align 4 .u32 primes[5] = {2, 3, 5, 7, 11};
.visible .global .align 8 .u64 where[2] = {generic(large), generic(primes)+4};
.visible .entry sum(.param .u64 out) {
  .reg .b32 %a, %b; .reg .b64 %o, %p;
  ld.param.u64 %o, [out];
  ld.const.u32 %a, [primes+16];
  ld.global.u64 %p, [where+8]; ld.u32 %b, [%p]; add.u32 %a, %a, %b;
  ld.global.u64 %p, [where]; ld.u32 %b, [%p]; add.u32 %a, %a, %b;
  st.global.u32 [%o], %a; ret;
}
)";
}

size_t free_memory() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return free;
}

size_t total_memory() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return total;
}

uint32_t sum(const check::Module& module) {
  const check::DeviceArray<uint32_t> out(1);
  check::launch(module.function("sum"), {1}, {1}, nullptr, out.get());
  return out.download()[0];
}

void check_values() {
  const size_t before = free_memory();
  {
    const check::Module one(variables(kLargeBytes).c_str());
    const size_t taken = before - free_memory();
    REQUIRE(taken >= kLargeBytes, "a variable of %zu bytes took %zu", kLargeBytes, taken);
    REQUIRE(sum(one) == 14, "the sum is %u, not 11 + 3 + 0", sum(one));
    const check::Module other(variables(kLargeBytes).c_str());
    const CUdeviceptr here = one.variable("large", kLargeBytes), there = other.variable("large", kLargeBytes);
    REQUIRE(here != there, "two modules have one variable");
    CU_CHECK(cuMemsetD32_v2(here, 1000, 1));
    REQUIRE(sum(one) == 1014 && sum(other) == 14, "sums %u and %u, not 1014 and 14", sum(one), sum(other));
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(here));
    CUdeviceptr absent = 0;
    size_t bytes = 0;
    CUmodule module = nullptr;
    CU_CHECK(cuFuncGetModule(&module, one.function("sum")));
    CU_EXPECT(CUDA_ERROR_NOT_FOUND, cuModuleGetGlobal_v2(&absent, &bytes, module, "absent"));
  }
  REQUIRE(free_memory() == before, "%zu bytes free at the end, %zu at the start", free_memory(), before);
}

// More variables than the device, or the slice, has room for: refused, with nothing left behind.
void check_too_large() {
  const size_t before = free_memory();
  const std::string image = variables(before - (1u << 20));
  CUmodule module = nullptr, second = nullptr;
  CU_CHECK(cuModuleLoadData(&module, image.c_str()));
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuModuleLoadData(&second, variables(64u << 20).c_str()));
  CUdeviceptr memory = 0;
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&memory, 64u << 20));
  CU_CHECK(cuModuleUnload(module));
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuModuleLoadData(&module, variables(total_memory() + 1).c_str()));
  REQUIRE(free_memory() == before, "%zu bytes free after refusals, %zu before", free_memory(), before);
  check_values();
}

// A context's modules end with it.
void check_context_end(CUdevice device) {
  const size_t before = free_memory();
  CUcontext context = nullptr;
  CU_CHECK(cuCtxCreate_v2(&context, 0, device));
  CUmodule module = nullptr;
  CU_CHECK(cuModuleLoadData(&module, variables(kLargeBytes).c_str()));
  CU_CHECK(cuCtxDestroy_v2(context));
  REQUIRE(free_memory() == before, "%zu bytes free after the context, %zu before", free_memory(), before);
}

// A library's variables are placed with its first use in a context; what does not fit is refused there.
void check_library() {
  const size_t before = free_memory();
  CUlibrary library = nullptr;
  const std::string image = variables(kLargeBytes);
  CU_CHECK(cuLibraryLoadData(&library, image.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0));
  CUkernel kernel = nullptr;
  CU_CHECK(cuLibraryGetKernel(&kernel, library, "sum"));
  const check::DeviceArray<uint32_t> out(1);
  check::launch(reinterpret_cast<CUfunction>(kernel), {1}, {1}, nullptr, out.get());
  REQUIRE(out.download()[0] == 14, "the library's sum is %u", out.download()[0]);
  REQUIRE(before - free_memory() >= kLargeBytes, "a library's variable took %zu bytes",
          before - free_memory());
  CUdeviceptr large = 0;
  size_t bytes = 0;
  CU_CHECK(cuLibraryGetGlobal(&large, &bytes, library, "large"));
  REQUIRE(bytes == kLargeBytes, "the library's variable has %zu bytes", bytes);
  CU_CHECK(cuLibraryUnload(library));
  REQUIRE(before - free_memory() < kLargeBytes, "the library's variables stayed");
  // In a slice the device may hold it; the program may not use it, nor anything more, until it is gone.
  const std::string too_large = variables(total_memory() - (64u << 10));
  CU_CHECK(cuLibraryLoadData(&library, too_large.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0));
  CU_CHECK(cuLibraryGetKernel(&kernel, library, "sum"));
  CUdeviceptr filler = 0;
  CU_CHECK(cuMemAlloc_v2(&filler, 1u << 20));
  CUdeviceptr address = out.get();
  void* parameters[] = {&address};
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), 1, 1, 1, 1, 1, 1,
                                                     0, nullptr, parameters, nullptr));
  CU_CHECK(cuLibraryUnload(library));
  CU_CHECK(cuMemFree_v2(filler));
}

CUlibrary load_managed() {
  const std::string image = kHeader + ".visible .global .attribute(.managed) .align 8 .b8 shared[" +
                            std::to_string(kLargeBytes) + "];\n";
  CUlibrary library = nullptr;
  CU_CHECK(cuLibraryLoadData(&library, image.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0));
  return library;
}

uint32_t* managed_of(CUlibrary library) {
  CUdeviceptr address = 0;
  size_t bytes = 0;
  CU_CHECK(cuLibraryGetManaged(&address, &bytes, library, "shared"));
  REQUIRE(bytes == kLargeBytes, "the library's variable has %zu bytes", bytes);
  return reinterpret_cast<uint32_t*>(static_cast<uintptr_t>(address));
}

// A library's managed variables are there until it is unloaded, whatever context they were asked for in.
void check_managed_of_library(CUdevice device) {
  const size_t before = free_memory();
  CUlibrary library = load_managed();
  (void)managed_of(library);
  const size_t taken = before - free_memory();
  CU_CHECK(cuLibraryUnload(library));
  REQUIRE(free_memory() == before, "%zu bytes free without the library, %zu before", free_memory(), before);
  library = load_managed();
  CUcontext context = nullptr;
  CU_CHECK(cuCtxCreate_v2(&context, 0, device));
  uint32_t* const shared = managed_of(library);
  CU_CHECK(cuCtxDestroy_v2(context));
  REQUIRE(before - free_memory() == taken, "%zu bytes are held after the context's end, %zu before",
          before - free_memory(), taken);
  *shared = 7;
  REQUIRE(managed_of(library) == shared && *shared == 7, "the variable went with the context");
  CU_CHECK(cuLibraryUnload(library));
  REQUIRE(free_memory() == before, "%zu bytes free at the end, %zu at the start", free_memory(), before);
}

}  // namespace

int main() {
  const check::Context context;
  check_values();
  check_context_end(context.device());
  check_library();
  check_managed_of_library(context.device());
  check_values();
  check_too_large();
  return check::pass("values, addresses, copies, refusals and ends of modules: exact");
}
