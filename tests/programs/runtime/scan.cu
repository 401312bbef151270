// Inclusive scan over many blocks (scan blocks, scan their sums, add back) and stream compaction by ballots.
#include "cuda_check.h"

namespace {

constexpr int kBlock = 256;
constexpr unsigned kAll = 0xffffffffu;

__device__ uint32_t warp_scan(uint32_t value) {
  const int lane = threadIdx.x % 32;
  for (int offset = 1; offset < 32; offset *= 2) {
    const uint32_t before = __shfl_up_sync(kAll, value, offset);
    if (lane >= offset) value += before;
  }
  return value;
}

__device__ uint32_t block_scan(uint32_t value, uint32_t* warp_sums) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  value = warp_scan(value);
  if (lane == 31) warp_sums[warp] = value;
  __syncthreads();
  if (warp == 0) {
    const uint32_t sums = warp_scan(lane < kBlock / 32 ? warp_sums[lane] : 0);
    if (lane < kBlock / 32) warp_sums[lane] = sums;
  }
  __syncthreads();
  return warp > 0 ? value + warp_sums[warp - 1] : value;
}

__global__ void scan_blocks(const uint32_t* in, uint32_t* out, uint32_t* block_sums, size_t count) {
  __shared__ uint32_t warp_sums[kBlock / 32];
  const size_t i = static_cast<size_t>(blockIdx.x) * kBlock + threadIdx.x;
  const uint32_t sum = block_scan(i < count ? in[i] : 0, warp_sums);
  if (i < count) out[i] = sum;
  if (threadIdx.x == kBlock - 1 && block_sums) block_sums[blockIdx.x] = sum;
}

__global__ void add_before(uint32_t* out, const uint32_t* scanned_sums, size_t count) {
  const size_t i = static_cast<size_t>(blockIdx.x) * kBlock + threadIdx.x;
  if (blockIdx.x > 0 && i < count) out[i] += scanned_sums[blockIdx.x - 1];
}

void device_scan(const uint32_t* in, uint32_t* out, size_t count) {
  const unsigned blocks = check::blocks_for(count, kBlock);
  if (blocks == 1) {
    scan_blocks<<<1, kBlock>>>(in, out, nullptr, count);
    return;
  }
  check::DeviceArray<uint32_t> sums(blocks), scanned(blocks);
  scan_blocks<<<blocks, kBlock>>>(in, out, sums.get(), count);
  device_scan(sums.get(), scanned.get(), blocks);
  add_before<<<blocks, kBlock>>>(out, scanned.get(), count);
  CUDA_CHECK_KERNEL();
}

// Keeps the multiples of three. One atomic per warp: the leader reserves room for all the lanes that keep.
__global__ void compact(const uint32_t* in, size_t count, uint32_t* kept, uint32_t* kept_count) {
  const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const bool keep = i < count && in[i] % 3 == 0;
  const unsigned keepers = __ballot_sync(kAll, keep);
  if (!keep) return;
  const int lane = threadIdx.x % 32, leader = __ffs(keepers) - 1;
  uint32_t start = 0;
  if (lane == leader) start = atomicAdd(kept_count, __popc(keepers));
  start = __shfl_sync(keepers, start, leader);
  kept[start + __popc(keepers & ((1u << lane) - 1))] = in[i];
}

size_t check_compaction(const std::vector<uint32_t>& values) {
  check::DeviceArray<uint32_t> in(values), kept(values.size()), kept_count(1);
  kept_count.fill(0);
  compact<<<check::blocks_for(values.size(), kBlock), kBlock>>>(in.get(), values.size(), kept.get(),
                                                                kept_count.get());
  CUDA_CHECK_KERNEL();
  size_t want_count = 0;
  uint64_t want_sum = 0, got_sum = 0;
  for (const uint32_t value : values) {
    want_count += value % 3 == 0;
    want_sum += value % 3 == 0 ? value : 0;
  }
  const size_t got_count = kept_count.download()[0];
  REQUIRE(got_count == want_count, "kept %zu elements, not %zu", got_count, want_count);
  const std::vector<uint32_t> got = kept.download();
  for (size_t i = 0; i < got_count; ++i) {  // the order of warps is free: compare what does not depend on it
    REQUIRE(got[i] % 3 == 0, "kept %u, which is no multiple of 3", got[i]);
    got_sum += got[i];
  }
  REQUIRE(got_sum == want_sum, "sum of the kept elements");
  return got_count;
}

}  // namespace

int main() {
  constexpr size_t kCount = 200'003;  // two levels of block sums
  const std::vector<uint32_t> values = check::random_integers<uint32_t>(kCount, 31);
  check::DeviceArray<uint32_t> in(values), out(kCount);
  device_scan(in.get(), out.get(), kCount);
  std::vector<uint32_t> want(kCount);
  uint32_t sum = 0;
  for (size_t i = 0; i < kCount; ++i) want[i] = sum += values[i];
  check::require_equal(out.download(), want, "scan");
  const size_t kept = check_compaction(values);
  return check::pass("scan of %zu exact, compaction kept %zu", kCount, kept);
}
