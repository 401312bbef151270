// cooperative_groups: tiles of every size, lanes that happen to be together, groups by label, reduce and
// scan, memcpy_async, tiles larger than a warp.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "cuda_check.h"

namespace {

namespace cg = cooperative_groups;
constexpr unsigned kThreads = 128;

template <unsigned Size>
__global__ void tiles(const int* in, int* out) {
  const auto tile = cg::tiled_partition<Size>(cg::this_thread_block());
  const int x = in[threadIdx.x];
  int* mine = out + threadIdx.x * 8;
  mine[0] =
      static_cast<int>(tile.thread_rank() + 1000 * tile.meta_group_rank() + 100000 * tile.meta_group_size());
  mine[1] = cg::reduce(tile, x, cg::plus<int>());
  mine[2] = cg::reduce(tile, x, cg::greater<int>());
  mine[3] = cg::inclusive_scan(tile, x);
  mine[4] = tile.shfl_xor(x, Size / 2);
  mine[5] = tile.shfl_down(x, 1);
  mine[6] = static_cast<int>(tile.ballot(x % 2 == 0));
  mine[7] = tile.any(x > 90) * 2 + tile.all(x > 5);
}

template <unsigned Size>
void check_tiles(const std::vector<int>& in) {
  const check::DeviceArray<int> device(in), out(kThreads * 8);
  tiles<Size><<<1, kThreads>>>(device.get(), out.get());
  CUDA_CHECK_KERNEL();
  const std::vector<int> got = out.download();
  for (unsigned i = 0; i < kThreads; ++i) {
    const unsigned base = i / Size * Size, rank = i % Size;
    const auto begin = in.begin() + base, end = begin + Size;
    unsigned even = 0;
    for (unsigned k = 0; k < Size; ++k) even |= (in[base + k] % 2 == 0 ? 1u : 0u) << k;
    const int want[8] = {static_cast<int>(rank + 1000 * (base / Size) + 100000 * (kThreads / Size)),
                         std::accumulate(begin, end, 0),
                         *std::max_element(begin, end),
                         std::accumulate(begin, begin + rank + 1, 0),
                         in[base + (rank ^ (Size / 2))],
                         in[base + std::min(rank + 1, Size - 1)],
                         static_cast<int>(even),
                         2 * std::any_of(begin, end, [](int x) { return x > 90; }) +
                             std::all_of(begin, end, [](int x) { return x > 5; })};
    for (int k = 0; k < 8; ++k)
      REQUIRE(got[i * 8 + k] == want[k], "tile of %u, thread %u, result %d: %d, not %d", Size, i, k,
              got[i * 8 + k], want[k]);
  }
}

// Two warps as one tile.
__global__ void large_tiles(const int* in, int* out) {
  __shared__ cg::block_tile_memory<kThreads> memory;
  const auto tile = cg::tiled_partition<64>(cg::this_thread_block(memory));
  out[threadIdx.x * 2] = cg::reduce(tile, in[threadIdx.x], cg::plus<int>());
  tile.sync();
  out[threadIdx.x * 2 + 1] = tile.shfl(in[threadIdx.x], 40);
}

void check_large_tiles(const std::vector<int>& in) {
  const check::DeviceArray<int> device(in), out(kThreads * 2);
  large_tiles<<<1, kThreads>>>(device.get(), out.get());
  CUDA_CHECK_KERNEL();
  const std::vector<int> got = out.download();
  for (unsigned i = 0; i < kThreads; ++i) {
    const unsigned base = i / 64 * 64;
    const int sum = std::accumulate(in.begin() + base, in.begin() + base + 64, 0);
    REQUIRE(got[i * 2] == sum && got[i * 2 + 1] == in[base + 40], "thread %u: %d and %d, not %d and %d", i,
            got[i * 2], got[i * 2 + 1], sum, in[base + 40]);
  }
}

// Lanes that diverged; of them, those with the same label, and those on each side of a condition.
__global__ void together(const int* in, int* out) {
  const auto warp = cg::tiled_partition<32>(cg::this_thread_block());
  const int x = in[threadIdx.x];
  int* mine = out + threadIdx.x * 5;
  for (int k = 0; k < 5; ++k) mine[k] = -1;
  if (threadIdx.x % 3 != 0) {
    const auto active = cg::coalesced_threads();
    mine[0] = static_cast<int>(active.size() * 100 + active.thread_rank());
    mine[1] = cg::reduce(active, x, cg::plus<int>());
    mine[2] = active.shfl(x, 0);
  }
  warp.sync();
  mine[3] = cg::reduce(cg::labeled_partition(warp, x % 5), 1, cg::plus<int>());
  mine[4] = static_cast<int>(cg::binary_partition(warp, x > 50).size());
}

void check_together(const std::vector<int>& in) {
  const check::DeviceArray<int> device(in), out(kThreads * 5);
  together<<<1, kThreads>>>(device.get(), out.get());
  CUDA_CHECK_KERNEL();
  const std::vector<int> got = out.download();
  for (unsigned i = 0; i < kThreads; ++i) {
    int want[5] = {0, 0, -1, 0, 0}, rank = 0;
    for (unsigned k = i / 32 * 32; k < i / 32 * 32 + 32; ++k) {
      want[3] += in[k] % 5 == in[i] % 5;
      want[4] += (in[k] > 50) == (in[i] > 50);
      if (k % 3 == 0) continue;
      if (want[2] == -1) want[2] = in[k];
      if (k < i) ++rank;
      want[0] += 100;
      want[1] += in[k];
    }
    want[0] += rank;
    if (i % 3 == 0) want[0] = want[1] = want[2] = -1;
    for (int k = 0; k < 5; ++k)
      REQUIRE(got[i * 5 + k] == want[k], "thread %u, result %d: %d, not %d", i, k, got[i * 5 + k], want[k]);
  }
}

// A block copies its tile and waits for it; two copies in flight, the older one waited for first.
__global__ void copies(const int* in, int* out) {
  __shared__ int tile[2][kThreads];
  const auto block = cg::this_thread_block();
  cg::memcpy_async(block, tile[0], in, sizeof(tile[0]));
  cg::memcpy_async(block, tile[1], in + kThreads, sizeof(tile[1]));
  cg::wait_prior<1>(block);
  out[threadIdx.x] = tile[0][kThreads - 1 - threadIdx.x];
  cg::wait(block);
  out[kThreads + threadIdx.x] = tile[1][kThreads - 1 - threadIdx.x];
}

void check_copies() {
  std::vector<int> in(2 * kThreads), want;
  std::iota(in.begin(), in.end(), 0);
  for (unsigned i = 0; i < 2 * kThreads; ++i)
    want.push_back(static_cast<int>(i / kThreads * kThreads + kThreads - 1 - i % kThreads));
  const check::DeviceArray<int> device(in), out(in.size());
  copies<<<1, kThreads>>>(device.get(), out.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), want, "copied");
}

}  // namespace

int main() {
  std::vector<int> in;
  for (unsigned i = 0; i < kThreads; ++i) in.push_back(static_cast<int>(i * 37 % 101));
  check_tiles<2>(in);
  check_tiles<4>(in);
  check_tiles<8>(in);
  check_tiles<16>(in);
  check_tiles<32>(in);
  check_large_tiles(in);
  check_together(in);
  check_copies();
  return check::pass("tiles of 2 to 64 threads, coalesced and labelled groups, scans, asynchronous copies");
}
