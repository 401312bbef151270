// Cooperative launches: all blocks of a grid run at once and meet, more of them than there are processors;
// grids that do not fit are refused; by cudaLaunchCooperativeKernel, by launch attribute and in a graph.
#include <cooperative_groups.h>

#include <algorithm>
#include <cstdint>

#include "cuda_check.h"

namespace cg = cooperative_groups;

namespace {

constexpr unsigned kThreads = 64;

// Rounds of a stencil over a ring: each needs what all blocks wrote in the round before.
__global__ void relax(uint32_t* a, uint32_t* b, unsigned count, int rounds) {
  const cg::grid_group grid = cg::this_grid();
  for (int round = 0; round < rounds; ++round) {
    for (auto i = static_cast<unsigned>(grid.thread_rank()); i < count;
         i += static_cast<unsigned>(grid.size())) {
      b[i] = a[(i + count - 1) % count] + 3 * a[i] + a[(i + 1) % count];
    }
    grid.sync();
    uint32_t* const swap = a;
    a = b;
    b = swap;
  }
}

__global__ void describe_grid(unsigned long long* out) {
  const cg::grid_group grid = cg::this_grid();
  if (grid.thread_rank() == 0) {
    out[0] = grid.is_valid();
    out[1] = grid.size();
    out[2] = grid.num_blocks();
    out[3] = grid.num_threads();
  }
}

// Arrival and waiting apart: what lies between may overlap, what comes after may not.
__global__ void arrive_wait(unsigned* arrived, unsigned* seen) {
  cg::grid_group grid = cg::this_grid();
  if (threadIdx.x == 0) atomicAdd(arrived, 1);
  auto token = grid.barrier_arrive();
  grid.barrier_wait(std::move(token));
  if (threadIdx.x == 0) seen[blockIdx.x] = *static_cast<volatile unsigned*>(arrived);
}

std::vector<uint32_t> relaxed(std::vector<uint32_t> a, int rounds) {
  std::vector<uint32_t> b(a.size());
  const size_t count = a.size();
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < count; ++i) b[i] = a[(i + count - 1) % count] + 3 * a[i] + a[(i + 1) % count];
    a.swap(b);
  }
  return a;
}

unsigned largest_grid(const void* kernel, unsigned threads) {
  cudaDeviceProp properties{};
  CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
  int each = 0;
  CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, static_cast<int>(threads), 0));
  return static_cast<unsigned>(each * properties.multiProcessorCount);
}

enum class How { kCall, kAttribute, kGraph };

void launch(How how, const void* kernel, unsigned blocks, unsigned threads, void** arguments) {
  if (how == How::kCall) {
    CUDA_CHECK(cudaLaunchCooperativeKernel(kernel, dim3(blocks), dim3(threads), arguments, 0, nullptr));
    return;
  }
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = 1;
  if (how == How::kAttribute) {
    CUDA_CHECK(cudaLaunchKernelExC(&config, kernel, arguments));
  } else {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CUDA_CHECK(cudaLaunchKernelExC(&config, kernel, arguments));
    CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
    CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    CUDA_CHECK(cudaGraphLaunch(exec, stream));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    CUDA_CHECK(cudaGraphExecDestroy(exec));
    CUDA_CHECK(cudaGraphDestroy(graph));
  }
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaStreamDestroy(stream));
}

void check_sync(How how, unsigned blocks) {
  constexpr unsigned kCount = 3001;
  int rounds = 9;
  unsigned count = kCount;
  std::vector<uint32_t> start(kCount);
  for (unsigned i = 0; i < kCount; ++i) start[i] = i * 2654435761u;
  check::DeviceArray<uint32_t> a(start), b(kCount);
  uint32_t *from = a.get(), *to = b.get();
  void* arguments[] = {&from, &to, &count, &rounds};
  launch(how, reinterpret_cast<const void*>(relax), blocks, kThreads, arguments);
  CUDA_CHECK_KERNEL();
  check::require_equal(b.download(), relaxed(start, rounds), "relaxation");
}

void check_description() {
  check::DeviceArray<unsigned long long> out(4);
  unsigned long long* pointer = out.get();
  void* arguments[] = {&pointer};
  launch(How::kCall, reinterpret_cast<const void*>(describe_grid), 5, 96, arguments);
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), {1, 480, 5, 480}, "the grid group");
}

void check_arrive_wait(unsigned blocks) {
  check::DeviceArray<unsigned> arrived(1), seen(blocks);
  arrived.fill(0);
  unsigned *counter = arrived.get(), *result = seen.get();
  void* arguments[] = {&counter, &result};
  launch(How::kCall, reinterpret_cast<const void*>(arrive_wait), blocks, kThreads, arguments);
  CUDA_CHECK_KERNEL();
  check::require_equal(seen.download(), std::vector<unsigned>(blocks, blocks), "blocks arrived");
}

void check_too_large(unsigned blocks) {
  uint32_t *from = nullptr, *to = nullptr;
  unsigned count = 0;
  int rounds = 0;
  void* arguments[] = {&from, &to, &count, &rounds};
  CUDA_EXPECT(cudaErrorCooperativeLaunchTooLarge,
              cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(relax), dim3(blocks), dim3(kThreads),
                                          arguments, 0, nullptr));
  (void)cudaGetLastError();
}

// Outside of a cooperative launch there is nothing to meet in.
void check_ordinary_launch() {
  check::DeviceArray<uint32_t> a(4), b(4);
  relax<<<1, 32>>>(a.get(), b.get(), 4, 1);
  CUDA_EXPECT(cudaErrorLaunchFailure, cudaDeviceSynchronize());
  CUDA_CHECK(cudaDeviceReset());
}

}  // namespace

int main() {
  int supported = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrCooperativeLaunch, 0));
  REQUIRE(supported == 1, "the device says it has no cooperative launches");
  const unsigned most = largest_grid(reinterpret_cast<const void*>(relax), kThreads);
  for (const How how : {How::kCall, How::kAttribute, How::kGraph}) {
    for (const unsigned blocks : {1u, 3u, std::min(most, 64u)}) check_sync(how, blocks);
  }
  check_sync(How::kCall, most);
  check_description();
  check_arrive_wait(std::min(largest_grid(reinterpret_cast<const void*>(arrive_wait), kThreads), 64u));
  check_too_large(most + 1);
  check_ordinary_launch();
  return check::pass("grid barriers of up to %u blocks, by call, attribute and graph: exact", most);
}
