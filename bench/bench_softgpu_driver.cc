// What the software GPU's driver costs: launches, waiting, copies. Copies stand beside a bare memcpy of the
// same run.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "cuda/abi.h"

namespace {

constexpr char kEmptyKernel[] = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .entry empty() { ret; }
)";

void require(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "%s: error %u\n", what, static_cast<unsigned>(result));
  exit(1);
}

CUfunction empty_kernel() {
  static const CUfunction function = [] {
    CUcontext context = nullptr;
    CUmodule module = nullptr;
    CUfunction found = nullptr;
    require(cuInit(0), "cuInit");
    require(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
    require(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    require(cuModuleLoadData(&module, kEmptyKernel), "cuModuleLoadData");
    require(cuModuleGetFunction(&found, module, "empty"), "cuModuleGetFunction");
    return found;
  }();
  return function;
}

void launch(CUfunction function, unsigned blocks) {
  require(cuLaunchKernel(function, blocks, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr), "cuLaunchKernel");
}

// The call alone; the queue is emptied outside of the measurement.
void BM_Launch(benchmark::State& state) {
  const CUfunction function = empty_kernel();
  constexpr int kBatch = 256;
  while (state.KeepRunningBatch(kBatch)) {
    for (int i = 0; i < kBatch; ++i) launch(function, 1);
    state.PauseTiming();
    require(cuCtxSynchronize(), "cuCtxSynchronize");
    state.ResumeTiming();
  }
}
BENCHMARK(BM_Launch);

void BM_LaunchAndWait(benchmark::State& state) {
  const CUfunction function = empty_kernel();
  for (auto _ : state) {
    launch(function, static_cast<unsigned>(state.range(0)));
    require(cuCtxSynchronize(), "cuCtxSynchronize");
  }
}
BENCHMARK(BM_LaunchAndWait)->Arg(1)->Arg(64)->UseRealTime();

// One kernel after the other in a stream: how fast blocks and dependencies are worked off.
void BM_LaunchThroughput(benchmark::State& state) {
  const CUfunction function = empty_kernel();
  constexpr int kBatch = 1000;
  while (state.KeepRunningBatch(kBatch)) {
    for (int i = 0; i < kBatch; ++i) launch(function, 1);
    require(cuCtxSynchronize(), "cuCtxSynchronize");
  }
}
BENCHMARK(BM_LaunchThroughput)->UseRealTime();

void BM_SynchronizeIdle(benchmark::State& state) {
  empty_kernel();
  for (auto _ : state) require(cuCtxSynchronize(), "cuCtxSynchronize");
}
BENCHMARK(BM_SynchronizeIdle);

void BM_AllocateAndFree(benchmark::State& state) {
  empty_kernel();
  for (auto _ : state) {
    CUdeviceptr memory = 0;
    require(cuMemAlloc_v2(&memory, static_cast<size_t>(state.range(0))), "cuMemAlloc");
    require(cuMemFree_v2(memory), "cuMemFree");
  }
}
BENCHMARK(BM_AllocateAndFree)->Arg(512)->Arg(64 << 20);

void BM_Memcpy(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  std::vector<char> from(bytes, 1), to(bytes, 2);
  for (auto _ : state) {
    memcpy(to.data(), from.data(), bytes);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void BM_CopyHostToDevice(benchmark::State& state) {
  empty_kernel();
  const auto bytes = static_cast<size_t>(state.range(0));
  std::vector<char> from(bytes, 1);
  CUdeviceptr to = 0;
  require(cuMemAlloc_v2(&to, bytes), "cuMemAlloc");
  // Its pages come with the first touch, as the floor's did before it was measured.
  require(cuMemcpyHtoD_v2(to, from.data(), bytes), "cuMemcpyHtoD");
  for (auto _ : state) require(cuMemcpyHtoD_v2(to, from.data(), bytes), "cuMemcpyHtoD");
  state.SetBytesProcessed(state.iterations() * state.range(0));
  require(cuMemFree_v2(to), "cuMemFree");
}

void BM_CopyDeviceToHost(benchmark::State& state) {
  empty_kernel();
  const auto bytes = static_cast<size_t>(state.range(0));
  std::vector<char> to(bytes);
  CUdeviceptr from = 0;
  require(cuMemAlloc_v2(&from, bytes), "cuMemAlloc");
  require(cuMemsetD8_v2(from, 1, bytes), "cuMemsetD8");
  for (auto _ : state) require(cuMemcpyDtoH_v2(to.data(), from, bytes), "cuMemcpyDtoH");
  state.SetBytesProcessed(state.iterations() * state.range(0));
  require(cuMemFree_v2(from), "cuMemFree");
}

BENCHMARK(BM_Memcpy)->Arg(4 << 10)->Arg(1 << 20)->Arg(64 << 20);
BENCHMARK(BM_CopyHostToDevice)->Arg(4 << 10)->Arg(1 << 20)->Arg(64 << 20);
BENCHMARK(BM_CopyDeviceToHost)->Arg(4 << 10)->Arg(1 << 20)->Arg(64 << 20);

}  // namespace

BENCHMARK_MAIN();
