// What a loop as inference has it takes: 200 launches of kernels that depend on each other, then one copy
// back. Prints the median of its iterations in microseconds. bench_remote_rtt.sh runs it at several distances
// from its GPU.
//
//   remote_loop [ITERATIONS] [STEPS] [PAUSE]
//
// STEPS: how long a kernel's one block computes. PAUSE: so many microseconds of sleep before each iteration,
// which do not count: what a processor that has been idle meanwhile costs shows in what follows.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "common/clock.h"
#include "cuda/abi.h"
#include "cuda/driver_api.h"

namespace {

constexpr int kLaunches = 200;
constexpr size_t kCount = 1024;
const char kKernel[] = R"(
.version 6.3
.target sm_70
.address_size 64
.visible .entry layer(.param .u64 data, .param .u32 steps) {
  .reg .u64 %a, %o;
  .reg .u32 %t, %n, %i;
  .reg .f32 %x;
  .reg .pred %p;
  ld.param.u64 %a, [data];
  ld.param.u32 %n, [steps];
  mov.u32 %t, %tid.x;
  mul.wide.u32 %o, %t, 4;
  add.u64 %a, %a, %o;
  ld.global.f32 %x, [%a];
  mov.u32 %i, 0;
loop:
  fma.rn.f32 %x, %x, 0f3F7FFFFE, 0f3A83126F;
  add.u32 %i, %i, 1;
  setp.lt.u32 %p, %i, %n;
  @%p bra loop;
  st.global.f32 [%a], %x;
  ret;
}
)";

void check(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "%s: %d\n", what, result);
  exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  const int iterations = argc > 1 ? atoi(argv[1]) : 100;
  unsigned steps = argc > 2 ? static_cast<unsigned>(atoi(argv[2])) : 100;
  const useconds_t pause_us = argc > 3 ? static_cast<useconds_t>(atoi(argv[3])) : 0;
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction layer = nullptr;
  CUdeviceptr data = 0;
  check(cuInit(0), "cuInit");
  check(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
  check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
  check(cuModuleLoadData(&module, kKernel), "cuModuleLoadData");
  check(cuModuleGetFunction(&layer, module, "layer"), "cuModuleGetFunction");
  check(cuMemAlloc_v2(&data, kCount * sizeof(float)), "cuMemAlloc");
  check(cuMemsetD32_v2(data, 0, kCount), "cuMemsetD32");
  std::vector<float> host(kCount);
  std::vector<double> times;
  for (int i = 0; i < iterations + 2; ++i) {
    if (pause_us > 0) usleep(pause_us);
    const uint64_t start = tessera::monotonic_ns();
    for (int launch = 0; launch < kLaunches; ++launch) {
      void* parameters[] = {&data, &steps};
      check(cuLaunchKernel(layer, 1, 1, 1, 64, 1, 1, 0, nullptr, parameters, nullptr), "cuLaunchKernel");
    }
    check(cuMemcpyDtoH_v2(host.data(), data, kCount * sizeof(float)), "cuMemcpyDtoH");
    if (i >= 2)
      times.push_back(static_cast<double>(tessera::monotonic_ns() - start) / 1e3);  // two to warm up
  }
  std::sort(times.begin(), times.end());
  printf("%.1f\n", times[times.size() / 2]);
  return 0;
}
