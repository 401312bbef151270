// Thread block clusters: who is where, shared memory of other blocks, the cluster's barrier, sizes fixed in
// the program and given at the launch, what is refused, occupancy.
#include <cooperative_groups.h>

#include <algorithm>
#include <utility>

#include "cuda_check.h"

namespace {

namespace cg = cooperative_groups;
constexpr unsigned kThreads = 64;

struct Place {
  unsigned rank, blocks, cluster, clusters, index_x, index_y, threads, thread;
};

__global__ void places(Place* out) {
#if __CUDA_ARCH__ >= 900
  const auto cluster = cg::this_cluster();
  const unsigned block = blockIdx.y * gridDim.x + blockIdx.x;
  unsigned id, ids;
  asm("mov.u32 %0, %%clusterid.x;" : "=r"(id));
  asm("mov.u32 %0, %%nclusterid.x;" : "=r"(ids));
  if (threadIdx.x == kThreads - 1) {
    const dim3 index = cluster.block_index();
    out[block] = {cluster.block_rank(),  cluster.num_blocks(), id, ids, index.x, index.y,
                  cluster.num_threads(), cluster.thread_rank()};
  }
#endif
}

// Launches with clusters of the given shape.
template <typename... Parameters, typename... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), dim3 grid, dim3 cluster, size_t shared, cudaStream_t stream,
                   Arguments... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = cluster.x;
  attribute.val.clusterDim.y = cluster.y;
  attribute.val.clusterDim.z = cluster.z;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

void check_places() {
  const dim3 grid(6, 4), size(3, 2);
  const check::DeviceArray<Place> out(grid.x * grid.y);
  CUDA_CHECK(launch(places, grid, size, 0, nullptr, out.get()));
  CUDA_CHECK_KERNEL();
  const std::vector<Place> got = out.download();
  for (unsigned y = 0; y < grid.y; ++y) {
    for (unsigned x = 0; x < grid.x; ++x) {
      const Place& p = got[y * grid.x + x];
      const unsigned rank = y % size.y * size.x + x % size.x;
      REQUIRE(p.rank == rank && p.blocks == 6 && p.cluster == x / 3 && p.clusters == 2 &&
                  p.index_x == x % 3 && p.index_y == y % 2 && p.threads == 6 * kThreads &&
                  p.thread == rank * kThreads + kThreads - 1,
              "block %u,%u: rank %u of %u, cluster %u of %u, at %u,%u, thread %u of %u", x, y, p.rank,
              p.blocks, p.cluster, p.clusters, p.index_x, p.index_y, p.thread, p.threads);
    }
  }
}

// Each block writes its own shared memory, reads that of the next, adds to that of all by atomics.
__global__ void __cluster_dims__(4, 1, 1) exchange(int* out, int* totals) {
#if __CUDA_ARCH__ >= 900
  __shared__ int own[kThreads];
  __shared__ int total;
  const auto cluster = cg::this_cluster();
  const unsigned rank = cluster.block_rank();
  own[threadIdx.x] = static_cast<int>(blockIdx.x * 1000 + threadIdx.x);
  if (threadIdx.x == 0) total = 0;
  cluster.sync();
  const int* next = cluster.map_shared_rank(own, (rank + 1) % cluster.num_blocks());
  out[blockIdx.x * kThreads + threadIdx.x] = next[kThreads - 1 - threadIdx.x];
  for (unsigned other = 0; other < cluster.num_blocks(); ++other)
    atomicAdd(cluster.map_shared_rank(&total, other), static_cast<int>(rank + 1));
  if (cluster.query_shared_rank(next) != (rank + 1) % cluster.num_blocks()) out[0] = -1;
  // Arrives, does something else, waits: nobody leaves before all have read.
  auto token = cluster.barrier_arrive();
  own[threadIdx.x] += 0;
  cluster.barrier_wait(std::move(token));
  if (threadIdx.x == 0) totals[blockIdx.x] = total;
#endif
}

void check_exchange() {
  constexpr unsigned kBlocks = 24;
  const check::DeviceArray<int> out(kBlocks * kThreads), totals(kBlocks);
  exchange<<<kBlocks, kThreads>>>(out.get(), totals.get());
  CUDA_CHECK_KERNEL();
  const std::vector<int> got = out.download(), sums = totals.download();
  for (unsigned block = 0; block < kBlocks; ++block) {
    const unsigned next = block / 4 * 4 + (block + 1) % 4;
    for (unsigned i = 0; i < kThreads; ++i) {
      const int want = static_cast<int>(next * 1000 + kThreads - 1 - i);
      REQUIRE(got[block * kThreads + i] == want, "block %u, thread %u has %d, not %d", block, i,
              got[block * kThreads + i], want);
    }
    REQUIRE(sums[block] == 10 * static_cast<int>(kThreads), "block %u: total %d", block, sums[block]);
  }
}

// A histogram over the shared memory of a whole cluster, of whatever size.
__global__ void histogram(const unsigned* data, unsigned count, unsigned* bins, unsigned per_block) {
#if __CUDA_ARCH__ >= 900
  extern __shared__ unsigned part[];
  const auto cluster = cg::this_cluster();
  for (unsigned i = threadIdx.x; i < per_block; i += kThreads) part[i] = 0;
  cluster.sync();
  const unsigned threads = gridDim.x * kThreads;
  for (unsigned i = blockIdx.x * kThreads + threadIdx.x; i < count; i += threads) {
    const unsigned bin = data[i] % (per_block * cluster.num_blocks());
    atomicAdd(cluster.map_shared_rank(part, bin / per_block) + bin % per_block, 1u);
  }
  cluster.sync();
  for (unsigned i = threadIdx.x; i < per_block; i += kThreads)
    atomicAdd(&bins[cluster.block_rank() * per_block + i], part[i]);
#endif
}

void check_histogram(unsigned size) {
  constexpr unsigned kBins = 960, kCount = 20000;
  const std::vector<unsigned> data = check::random_integers<unsigned>(kCount, 5);
  const check::DeviceArray<unsigned> device(data);
  check::DeviceArray<unsigned> bins(kBins);
  bins.fill(0);
  const unsigned per_block = kBins / size;
  CUDA_CHECK(launch(histogram, dim3(2 * size), dim3(size), per_block * 4, nullptr, device.get(), kCount,
                    bins.get(), per_block));
  CUDA_CHECK_KERNEL();
  std::vector<unsigned> want(kBins);
  for (const unsigned value : data) ++want[value % kBins];
  check::require_equal(bins.download(), want, "bins");
}

// A graph keeps the clusters of a launch that it captured.
void check_graph() {
  const check::DeviceArray<Place> out(8);
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaStreamCreate(&stream));
  CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  CUDA_CHECK(launch(places, dim3(8), dim3(4), 0, stream, out.get()));
  CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  CUDA_CHECK(cudaGraphLaunch(exec, stream));
  CUDA_CHECK(cudaStreamSynchronize(stream));
  const std::vector<Place> got = out.download();
  for (unsigned i = 0; i < 8; ++i)
    REQUIRE(got[i].rank == i % 4 && got[i].blocks == 4, "block %u of the graph: rank %u", i, got[i].rank);
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
  CUDA_CHECK(cudaStreamDestroy(stream));
}

void check_limits() {
  const check::DeviceArray<Place> out(64);
  CUDA_EXPECT(cudaErrorInvalidClusterSize, launch(places, dim3(6), dim3(4), 0, nullptr, out.get()));
  CUDA_EXPECT(cudaErrorInvalidClusterSize, launch(places, dim3(16), dim3(16), 0, nullptr, out.get()));
  CUDA_CHECK(cudaFuncSetAttribute(places, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
  CUDA_CHECK(launch(places, dim3(16), dim3(16), 0, nullptr, out.get()));
  CUDA_CHECK_KERNEL();
  REQUIRE(out.download()[15].rank == 15, "a cluster of 16");
  int* null = nullptr;
  CUDA_EXPECT(cudaErrorInvalidClusterSize, launch(exchange, dim3(8), dim3(2), 0, nullptr, null, null));
  (void)cudaGetLastError();

  cudaFuncAttributes attributes{};
  CUDA_CHECK(cudaFuncGetAttributes(&attributes, exchange));
  REQUIRE(attributes.requiredClusterWidth == 4 && attributes.requiredClusterHeight == 1 &&
              attributes.requiredClusterDepth == 1 && attributes.clusterDimMustBeSet == 1,
          "attributes of a kernel with clusters");
  CUDA_EXPECT(cudaErrorNotPermitted,
              cudaFuncSetAttribute(exchange, cudaFuncAttributeRequiredClusterWidth, 2));
}

void check_occupancy() {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(16);
  config.blockDim = dim3(kThreads);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = 4;
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  config.attrs = &attribute;
  config.numAttrs = 1;
  int blocks = 0, clusters = 0, largest = 0, processors = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
  CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, places, kThreads, 0));
  CUDA_CHECK(cudaOccupancyMaxActiveClusters(&clusters, places, &config));
  REQUIRE(clusters >= 1 && clusters <= std::max(1, blocks * processors / 4),
          "%d clusters of 4, %d blocks on each of %d", clusters, blocks, processors);
  CUDA_CHECK(cudaOccupancyMaxPotentialClusterSize(&largest, places, &config));
  REQUIRE(largest >= 8, "the largest portable cluster has %d blocks", largest);
}

}  // namespace

int main() {
  int supported = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrClusterLaunch, 0));
  if (supported == 0) check::skip("this device has no clusters");
  check_places();
  check_exchange();
  for (const unsigned size : {1u, 2u, 5u, 8u}) check_histogram(size);
  check_graph();
  check_limits();
  check_occupancy();
  return check::pass("places, shared memory of other blocks, barriers, limits, occupancy");
}
