// Sums by warp shuffles, votes, shared memory, and across blocks by the last block to take a ticket.
#include "cuda_check.h"

namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kBlock = 256;

template <typename T>
__device__ T warp_sum(T value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_down_sync(kAll, value, offset);
  return value;
}

// Valid in thread 0.
template <typename T>
__device__ T block_sum(T value) {
  __shared__ T partial[kBlock / 32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  value = warp_sum(value);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  value = threadIdx.x < kBlock / 32 ? partial[lane] : T(0);
  return warp == 0 ? warp_sum(value) : value;
}

__device__ unsigned tickets = 0;

// One launch, no second pass: every block publishes its sum, the last to arrive adds them up.
template <typename T>
__global__ void sum_last_block(const T* values, size_t count, volatile T* block_sums, T* total) {
  __shared__ bool last;
  T sum = 0;
  for (size_t i = blockIdx.x * kBlock + threadIdx.x; i < count; i += gridDim.x * kBlock) sum += values[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    block_sums[blockIdx.x] = sum;
    __threadfence();  // the sum is seen by whoever sees the ticket
    last = atomicAdd(&tickets, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  sum = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kBlock) sum += block_sums[i];
  __syncthreads();
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    *total = sum;
    tickets = 0;
  }
}

struct Votes {
  unsigned ballot, odd_ballot;
  int any, all, all_of_low;
  unsigned match;
  int match_all, xor_shuffled, up_shuffled, indexed, width8;
  int count_and, any_or, all_and;
};

__global__ void votes(const int* values, Votes* out) {
  const int i = threadIdx.x, lane = i % 32, value = values[i];
  Votes v = {};
  v.ballot = __ballot_sync(kAll, value > 0);
  if (lane % 2 == 1) v.odd_ballot = __ballot_sync(0xaaaaaaaau, value > 0);  // a diverged warp
  v.any = __any_sync(kAll, value == 7);
  v.all = __all_sync(kAll, value < 100);
  if (lane < 16) v.all_of_low = __all_sync(0xffffu, value > 0);
  v.match = __match_any_sync(kAll, value);
  int same = 0;
  __match_all_sync(kAll, i / 32, &same);
  v.match_all = same;
  v.xor_shuffled = __shfl_xor_sync(kAll, value, 5);
  v.up_shuffled = __shfl_up_sync(kAll, value, 3);
  v.indexed = __shfl_sync(kAll, value, 31 - lane);
  v.width8 = __shfl_down_sync(kAll, value, 2, 8);  // within groups of 8 lanes
  v.count_and = __syncthreads_count(value > 0);
  v.any_or = __syncthreads_or(value == 1'000);
  v.all_and = __syncthreads_and(value > -1'000);
  out[i] = v;
}

Votes reference_votes(const std::vector<int>& values, int i) {
  const int lane = i % 32;
  const int* warp = values.data() + i / 32 * 32;
  Votes v = {};
  v.all = 1;
  v.all_of_low = 1;
  v.match_all = 1;
  for (int k = 0; k < 32; ++k) {
    v.ballot |= static_cast<unsigned>(warp[k] > 0) << k;
    v.any |= warp[k] == 7;
    v.all &= warp[k] < 100;
    if (k < 16) v.all_of_low &= warp[k] > 0;
    v.match |= static_cast<unsigned>(warp[k] == warp[lane]) << k;
  }
  v.odd_ballot = lane % 2 == 1 ? v.ballot & 0xaaaaaaaau : 0;
  if (lane >= 16) v.all_of_low = 0;
  v.xor_shuffled = warp[lane ^ 5];
  v.up_shuffled = lane >= 3 ? warp[lane - 3] : warp[lane];
  v.indexed = warp[31 - lane];
  v.width8 = lane % 8 < 6 ? warp[lane + 2] : warp[lane];
  v.all_and = 1;
  for (const int value : values) {
    v.count_and += value > 0;
    v.any_or |= value == 1'000;
    v.all_and &= value > -1'000;
  }
  return v;
}

void check_votes() {
  std::vector<int> values(128);
  check::Random random(21);
  for (int& value : values) value = static_cast<int>(random.below(20)) - 6;
  for (int i = 32; i < 48; ++i) values[i] = 3;  // one warp whose low half agrees
  check::DeviceArray<int> device_values(values);
  check::DeviceArray<Votes> device_votes(values.size());
  votes<<<1, 128>>>(device_values.get(), device_votes.get());
  CUDA_CHECK_KERNEL();
  const std::vector<Votes> got = device_votes.download();
  for (int i = 0; i < 128; ++i) {
    const Votes& g = got[i];
    const Votes w = reference_votes(values, i);
    REQUIRE(g.ballot == w.ballot && g.odd_ballot == w.odd_ballot,
            "ballot of thread %d: %08x %08x, not %08x %08x", i, g.ballot, g.odd_ballot, w.ballot,
            w.odd_ballot);
    REQUIRE((g.any != 0) == (w.any != 0) && (g.all != 0) == (w.all != 0), "any/all of thread %d", i);
    REQUIRE((g.all_of_low != 0) == (w.all_of_low != 0), "all of a half warp, thread %d", i);
    REQUIRE(g.match == w.match && g.match_all == 1, "match of thread %d: %08x, not %08x", i, g.match,
            w.match);
    REQUIRE(g.xor_shuffled == w.xor_shuffled && g.up_shuffled == w.up_shuffled && g.indexed == w.indexed &&
                g.width8 == w.width8,
            "shuffles of thread %d", i);
    REQUIRE(g.count_and == w.count_and && (g.any_or != 0) == (w.any_or != 0) &&
                (g.all_and != 0) == (w.all_and != 0),
            "block votes of thread %d: count %d, not %d", i, g.count_and, w.count_and);
  }
}

template <typename T>
T device_total(const std::vector<T>& values) {
  constexpr unsigned kBlocks = 40;
  check::DeviceArray<T> device_values(values), block_sums(kBlocks), total(1);
  for (int round = 0; round < 3; ++round) {  // the ticket counter must come back to 0
    sum_last_block<<<kBlocks, kBlock>>>(device_values.get(), values.size(), block_sums.get(), total.get());
  }
  CUDA_CHECK_KERNEL();
  return total.download()[0];
}

}  // namespace

int main() {
  constexpr size_t kCount = 500'000;
  const std::vector<unsigned long long> integers = check::random_integers<unsigned long long>(kCount, 22);
  unsigned long long want = 0;
  for (const unsigned long long value : integers) want += value;
  const unsigned long long got = device_total(integers);
  REQUIRE(got == want, "sum of integers is %llu, not %llu", got, want);

  const std::vector<float> reals = check::random_reals<float>(kCount, 23, 0, 1);
  double want_real = 0;
  for (const float value : reals) want_real += value;
  const float got_real = device_total(reals);
  REQUIRE(std::fabs(got_real - want_real) < 1e-5 * want_real, "sum of floats is %.9g, not %.9g", got_real,
          want_real);

  check_votes();
  return check::pass("%zu integers exact, floats off by %.2g, votes and shuffles of 128 threads exact",
                     kCount, std::fabs(got_real - want_real));
}
