// CUB: primitives of warps and blocks inside a kernel, and the device-wide ones, against the standard
// library.
#include <algorithm>
#include <cub/cub.cuh>
#include <numeric>

#include "cuda_check.h"

namespace {

constexpr int kThreads = 128, kItems = 4, kTile = kThreads * kItems;

// Sorts its tile, sums it up to each place, and reduces it.
__global__ void tile(const int* in, int* sorted, int* sums, int* totals, int* warp_least) {
  using Load = cub::BlockLoad<int, kThreads, kItems, cub::BLOCK_LOAD_TRANSPOSE>;
  using Store = cub::BlockStore<int, kThreads, kItems, cub::BLOCK_STORE_TRANSPOSE>;
  using Sort = cub::BlockRadixSort<int, kThreads, kItems>;
  using Scan = cub::BlockScan<int, kThreads>;
  using Reduce = cub::BlockReduce<int, kThreads>;
  using WarpReduce = cub::WarpReduce<int>;
  __shared__ union {
    Load::TempStorage load;
    Store::TempStorage store;
    Sort::TempStorage sort;
    Scan::TempStorage scan;
    Reduce::TempStorage reduce;
    WarpReduce::TempStorage warps[kThreads / 32];
  } shared;
  const int base = static_cast<int>(blockIdx.x) * kTile;
  int items[kItems];
  Load(shared.load).Load(in + base, items);
  __syncthreads();
  const int total = Reduce(shared.reduce).Sum(items);
  if (threadIdx.x == 0) totals[blockIdx.x] = total;
  __syncthreads();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int least =
      WarpReduce(shared.warps[warp]).Reduce(items[0], [](int a, int b) { return a < b ? a : b; });
  if (threadIdx.x % 32 == 0) warp_least[blockIdx.x * (kThreads / 32) + warp] = least;
  __syncthreads();
  Sort(shared.sort).Sort(items);
  __syncthreads();
  int sum[kItems];
  Scan(shared.scan).InclusiveSum(items, sum);
  __syncthreads();
  Store(shared.store).Store(sorted + base, items);
  __syncthreads();
  Store(shared.store).Store(sums + base, sum);
}

void check_tiles() {
  constexpr int kBlocks = 5;
  const std::vector<int> in = check::random_integers<int>(kBlocks * kTile, 3);
  const check::DeviceArray<int> device(in), sorted(in.size()), sums(in.size()), totals(kBlocks),
      least(kBlocks * kThreads / 32);
  tile<<<kBlocks, kThreads>>>(device.get(), sorted.get(), sums.get(), totals.get(), least.get());
  CUDA_CHECK_KERNEL();
  std::vector<int> want_sorted = in, want_sums, want_totals, want_least;
  for (int block = 0; block < kBlocks; ++block) {
    const auto begin = want_sorted.begin() + block * kTile;
    for (int warp = 0; warp < kThreads / 32; ++warp) {
      int smallest = *(begin + warp * 32 * kItems);
      for (int lane = 1; lane < 32; ++lane)
        smallest = std::min(smallest, *(begin + (warp * 32 + lane) * kItems));
      want_least.push_back(smallest);
    }
    std::sort(begin, begin + kTile);
    unsigned sum = 0;
    for (auto i = begin; i != begin + kTile; ++i)
      want_sums.push_back(static_cast<int>(sum += static_cast<unsigned>(*i)));
    want_totals.push_back(static_cast<int>(sum));
  }
  check::require_equal(sorted.download(), want_sorted, "sorted tiles");
  check::require_equal(sums.download(), want_sums, "sums of tiles");
  check::require_equal(totals.download(), want_totals, "totals of tiles");
  check::require_equal(least.download(), want_least, "least of warps");
}

struct Even {
  __host__ __device__ bool operator()(unsigned key) const { return key % 2 == 0; }
};

// Every device-wide call is made twice: for the bytes it needs, then for its work.
template <typename Call>
void run(Call call) {
  size_t bytes = 0;
  CUDA_CHECK(call(nullptr, bytes));
  const check::DeviceArray<char> storage(std::max<size_t>(bytes, 1));
  CUDA_CHECK(call(storage.get(), bytes));
  CUDA_CHECK(cudaDeviceSynchronize());
}

void check_device(int count) {
  std::vector<unsigned> keys = check::random_integers<unsigned>(static_cast<size_t>(count), 11);
  std::vector<int> values(keys.size());
  std::iota(values.begin(), values.end(), 0);
  for (unsigned& key : keys) key %= 1 << 20;  // with equal ones: the sort has to be stable
  const check::DeviceArray<unsigned> in(keys), out(keys.size());
  const check::DeviceArray<int> from(values), to(keys.size());

  run([&](void* storage, size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(storage, bytes, in.get(), out.get(), from.get(), to.get(), count);
  });
  std::vector<int> order = values;
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return keys[a] < keys[b]; });
  check::require_equal(to.download(), order, "order");
  std::vector<unsigned> sorted = keys;
  std::sort(sorted.begin(), sorted.end());
  check::require_equal(out.download(), sorted, "sorted");

  run([&](void* storage, size_t& bytes) {
    return cub::DeviceScan::ExclusiveSum(storage, bytes, in.get(), out.get(), count);
  });
  std::vector<unsigned> sums(keys.size());
  std::exclusive_scan(keys.begin(), keys.end(), sums.begin(), 0u);
  check::require_equal(out.download(), sums, "sums");

  const check::DeviceArray<unsigned> one(1);
  run([&](void* storage, size_t& bytes) {
    return cub::DeviceReduce::Max(storage, bytes, in.get(), one.get(), count);
  });
  REQUIRE(one.download()[0] == sorted.back(), "the largest is %u, not %u", one.download()[0], sorted.back());

  const check::DeviceArray<int> kept(1);
  run([&](void* storage, size_t& bytes) {
    return cub::DeviceSelect::If(storage, bytes, in.get(), out.get(), kept.get(), count, Even{});
  });
  std::vector<unsigned> evens;
  std::copy_if(keys.begin(), keys.end(), std::back_inserter(evens),
               [](unsigned key) { return key % 2 == 0; });
  std::vector<unsigned> selected = out.download();
  selected.resize(static_cast<size_t>(kept.download()[0]));
  check::require_equal(selected, evens, "selected");

  const check::DeviceArray<int> bins(16);
  run([&](void* storage, size_t& bytes) {
    return cub::DeviceHistogram::HistogramEven(storage, bytes, in.get(), bins.get(), 17, 0u, 1u << 20, count);
  });
  std::vector<int> want(16);
  for (const unsigned key : keys) ++want[key >> 16];
  check::require_equal(bins.download(), want, "bins");
}

}  // namespace

int main() {
  check_tiles();
  for (const int count : {1, 1000, 60000}) check_device(count);
  return check::pass("blocks and warps; sort, scan, reduce, select, histogram of up to 60000 elements");
}
