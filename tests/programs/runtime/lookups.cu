// The driver's functions as the runtime hands them out: the version asked for, and the default stream that
// the program was built for (the same source is built with --default-stream legacy and per-thread).
#include <dlfcn.h>

#include "cuda_check.h"

namespace {

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
constexpr bool kPerThread = true;
#else
constexpr bool kPerThread = false;
#endif

void* exported(const char* symbol) {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(driver != nullptr, "the runtime has not loaded libcuda.so.1");
  return dlsym(driver, symbol);
}

void* entry_point(const char* name, unsigned version, unsigned long long flags) {
  void* address = nullptr;
  cudaDriverEntryPointQueryResult found;
  CUDA_CHECK(cudaGetDriverEntryPointByVersion(name, &address, version, flags, &found));
  REQUIRE(found == cudaDriverEntryPointSuccess, "%s at %u: %d", name, version, static_cast<int>(found));
  return address;
}

void check_entry_points() {
  REQUIRE(entry_point("cuLaunchKernel", 12000, cudaEnableDefault) ==
              exported(kPerThread ? "cuLaunchKernel_ptsz" : "cuLaunchKernel"),
          "cuLaunchKernel is not of the stream form that the program is built for");
  REQUIRE(entry_point("cuLaunchKernel", 12000, cudaEnableLegacyStream) == exported("cuLaunchKernel"),
          "legacy");
  REQUIRE(entry_point("cuLaunchKernel", 12000, cudaEnablePerThreadDefaultStream) ==
              exported("cuLaunchKernel_ptsz"),
          "per thread");
  REQUIRE(entry_point("cuCtxCreate", 11000, cudaEnableDefault) == exported("cuCtxCreate_v2"), "11.0");
  REQUIRE(entry_point("cuCtxCreate", 13000, cudaEnableDefault) == exported("cuCtxCreate_v4"), "13.0");
  REQUIRE(entry_point("cuGetProcAddress", 11030, cudaEnableDefault) == exported("cuGetProcAddress"), "11.3");

  void* address = &address;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSuccess;
  (void)cudaGetDriverEntryPointByVersion("cuNoSuchFunction", &address, 13000, cudaEnableDefault, &found);
  REQUIRE(found == cudaDriverEntryPointSymbolNotFound, "an unknown name: %d", static_cast<int>(found));
  (void)cudaGetDriverEntryPointByVersion("cuMemAllocAsync", &address, 10000, cudaEnableDefault, &found);
  REQUIRE(found == cudaDriverEntryPointVersionNotSufficent, "an old version: %d", static_cast<int>(found));
  (void)cudaGetLastError();
}

__global__ void add_one(int* values, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) ++values[i];
}

// Stream 0 does the program's work, whichever stream that is.
void check_default_stream() {
  constexpr int kCount = 4096;
  const std::vector<int> ones(kCount, 1);
  check::DeviceArray<int> values(ones);
  for (int i = 0; i < 3; ++i) add_one<<<kCount / 256, 256>>>(values.get(), kCount);
  CUDA_CHECK_KERNEL();
  check::require_equal(values.download(), std::vector<int>(kCount, 4), "default stream");
}

}  // namespace

int main() {
  CUDA_CHECK(cudaFree(nullptr));
  check_entry_points();
  check_default_stream();
  return check::pass("%s default stream", kPerThread ? "per-thread" : "legacy");
}
