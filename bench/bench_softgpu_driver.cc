// What the software GPU's driver costs: launches, waiting, copies. Copies stand beside a bare memcpy of the
// same run.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "cuda/abi.h"

namespace {

constexpr char kKernels[] = R"(
.version 7.0
.target sm_70
.address_size 64
.visible .entry empty() { ret; }
.visible .entry touch(.param .u64 memory) {
  .reg .b32 %r<5>; .reg .b64 %rd<4>;
  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;
  mad.lo.u32 %r4, %r1, %r2, %r3;
  ld.param.u64 %rd1, [memory];
  mul.wide.u32 %rd2, %r4, 4096;
  add.u64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3], %r4;
  ret;
}
)";

void require(CUresult result, const char* what) {
  if (result == CUDA_SUCCESS) return;
  fprintf(stderr, "%s: error %u\n", what, static_cast<unsigned>(result));
  exit(1);
}

CUmodule kernels() {
  static const CUmodule module = [] {
    CUcontext context = nullptr;
    CUmodule made = nullptr;
    require(cuInit(0), "cuInit");
    require(cuDevicePrimaryCtxRetain(&context, 0), "cuDevicePrimaryCtxRetain");
    require(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    require(cuModuleLoadData(&made, kKernels), "cuModuleLoadData");
    return made;
  }();
  return module;
}

CUfunction kernel(const char* name) {
  CUfunction found = nullptr;
  require(cuModuleGetFunction(&found, kernels(), name), "cuModuleGetFunction");
  return found;
}

CUfunction empty_kernel() {
  static const CUfunction function = kernel("empty");
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

// A kernel that touches each page of 64 KiB sixteen times: memory of the device, managed memory that is
// there, and managed memory that comes by faults.
enum Touched : int64_t { kLinear, kManagedThere, kManagedFaults };
void BM_Touch(benchmark::State& state) {
  constexpr size_t kBytes = 64u << 20, kPage = 64u << 10, kStep = 4096;
  const CUfunction touch = kernel("touch");
  const bool linear = state.range(0) == kLinear;
  CUdeviceptr memory = 0;
  require(linear ? cuMemAlloc_v2(&memory, kBytes) : cuMemAllocManaged(&memory, kBytes, CU_MEM_ATTACH_GLOBAL),
          "allocating");
  require(cuMemsetD8_v2(memory, 1, kBytes), "cuMemsetD8");
  void* arguments[] = {&memory};
  const auto run = [&] {
    require(cuLaunchKernel(touch, kBytes / kStep / 256, 1, 1, 256, 1, 1, 0, nullptr, arguments, nullptr),
            "cuLaunchKernel");
    require(cuCtxSynchronize(), "cuCtxSynchronize");
  };
  run();
  for (auto _ : state) {
    if (state.range(0) == kManagedFaults) {
      state.PauseTiming();
      require(cuMemPrefetchAsync(memory, kBytes, CU_DEVICE_CPU, nullptr), "cuMemPrefetchAsync");
      require(cuCtxSynchronize(), "cuCtxSynchronize");
      state.ResumeTiming();
    }
    run();
  }
  state.counters["ns_a_page"] =
      benchmark::Counter(static_cast<double>(kBytes / kPage) / 1e9,
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  require(cuMemFree_v2(memory), "cuMemFree");
}
BENCHMARK(BM_Touch)
    ->ArgName("linear_there_faults")
    ->Arg(kLinear)
    ->Arg(kManagedThere)
    ->Arg(kManagedFaults)
    ->UseRealTime();

// The setting in effect is the one in brackets: always within_size [advise] never ...
std::string huge_pages_of_files_in_memory() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  std::string word;
  while (file >> word) {
    if (word.starts_with("[")) return word.substr(1, word.size() - 2);
  }
  return "not known here";
}

// A file in memory as it is, for each iteration: small pages.
void BM_FirstTouchOfFile(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    const int file = memfd_create("bench", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, state.range(0)) != 0) exit(1);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (memory == MAP_FAILED) exit(1);
    memset(memory, 1, bytes);
    munmap(memory, bytes);
    close(file);
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

// Memory of the device that nothing has been in.
void BM_FirstTouchOfDevice(benchmark::State& state) {
  empty_kernel();
  const auto bytes = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    CUdeviceptr memory = 0;
    require(cuMemAlloc_v2(&memory, bytes), "cuMemAlloc");
    require(cuMemsetD8_v2(memory, 1, bytes), "cuMemsetD8");
    require(cuCtxSynchronize(), "cuCtxSynchronize");
    require(cuMemFree_v2(memory), "cuMemFree");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
  state.SetLabel("shmem_enabled: " + huge_pages_of_files_in_memory());
}

constexpr int64_t kFirstTouchBytes = int64_t{256} << 20;
BENCHMARK(BM_FirstTouchOfFile)
    ->Arg(kFirstTouchBytes)
    ->Iterations(3)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(BM_FirstTouchOfDevice)
    ->Arg(kFirstTouchBytes)
    ->Iterations(3)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

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
