#include "device.h"

constexpr uint32_t kBlock = 256;

__device__ uint32_t tickets;

DEVICE int warp_sum(int value) {
  for (int offset = 16; offset > 0; offset /= 2) value += shuffle_down(value, offset);
  return value;
}

// Valid in thread 0.
DEVICE int block_sum(int value) {
  __shared__ int partial[kBlock / 32];
  const uint32_t thread = thread_index().x;
  value = warp_sum(value);
  if (thread % 32 == 0) partial[thread / 32] = value;
  barrier();
  value = thread < kBlock / 32 ? partial[thread] : 0;
  return thread < 32 ? warp_sum(value) : value;
}

// Every block publishes its sum; the last to take a ticket adds them up. Launched with kBlock threads.
KERNEL reduce(const int* values, uint32_t count, volatile int* block_sums, int* total) {
  __shared__ uint32_t last;
  const uint32_t thread = thread_index().x, blocks = grid_size().x;
  int sum = 0;
  for (uint32_t i = global_thread(); i < count; i += global_threads()) sum += values[i];
  sum = block_sum(sum);
  if (thread == 0) {
    block_sums[block_index().x] = sum;
    fence();
    last = atomic_add(&tickets, 1u) == blocks - 1;
  }
  barrier();
  if (!last) return;
  sum = 0;
  for (uint32_t i = thread; i < blocks; i += kBlock) sum += block_sums[i];
  barrier();
  sum = block_sum(sum);
  if (thread == 0) {
    *total = sum;
    tickets = 0;
  }
}

// Bit i of warp w's word: values[32 w + i] is odd; and the warp's largest value, by a butterfly.
KERNEL odd_and_largest(const int* values, uint32_t* odd, int* largest) {
  const uint32_t i = global_thread();
  int most = values[i];
  const uint32_t bits = ballot(most & 1);
  for (int mask = 16; mask > 0; mask /= 2) {
    const int other = shuffle_xor(most, mask);
    most = other > most ? other : most;
  }
  if (i % 32 == 0) {
    odd[i / 32] = bits;
    largest[i / 32] = most;
  }
}
