#include "device.h"

constexpr uint32_t kBlock = 256;
constexpr uint32_t kWarps = kBlock / 32;
constexpr uint32_t kItems = 4;  // of each thread

DEVICE int warp_scan(int value, uint32_t lane) {
  for (uint32_t offset = 1; offset < 32; offset *= 2) {
    const int below = shuffle_up(value, static_cast<int>(offset));
    if (lane >= offset) value += below;
  }
  return value;
}

// Inclusive sums of each run of kBlock * kItems values, and the sum of each run. Launched with kBlock
// threads.
KERNEL scan_runs(const int* values, int* sums, int* run_sums, uint32_t count) {
  __shared__ int warp_sums[kWarps];
  const uint32_t thread = thread_index().x, lane = thread % 32, warp = thread / 32;
  const uint32_t first = (block_index().x * kBlock + thread) * kItems;
  int own[kItems];
  int sum = 0;
  for (uint32_t i = 0; i < kItems; ++i) {
    sum += first + i < count ? values[first + i] : 0;
    own[i] = sum;
  }
  const int through = warp_scan(sum, lane);
  if (lane == 31) warp_sums[warp] = through;
  barrier();
  int before = through - sum;
  for (uint32_t w = 0; w < warp; ++w) before += warp_sums[w];
  for (uint32_t i = 0; i < kItems; ++i) {
    if (first + i < count) sums[first + i] = before + own[i];
  }
  if (thread == kBlock - 1) run_sums[block_index().x] = before + sum;
}

// Adds to each run what all runs before it sum up to: `run_sums` are inclusive by now.
KERNEL add_before(int* sums, const int* run_sums, uint32_t count) {
  if (block_index().x == 0) return;
  const int before = run_sums[block_index().x - 1];
  const uint32_t first = block_index().x * kBlock * kItems + thread_index().x;
  for (uint32_t i = 0; i < kItems; ++i) {
    const uint32_t at = first + i * kBlock;
    if (at < count) sums[at] += before;
  }
}
