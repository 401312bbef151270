// What the driver answers, and how it touches memory.
#include <algorithm>
#include <atomic>

#include "tests/fuzz/remote/touching_driver.h"

namespace tessera::remote::fuzz {
namespace {

std::atomic<uint64_t> state{1};
std::atomic<uint64_t> handles{0x1000};
std::atomic<bool> fails{true};

}  // namespace

void seed_driver(uint64_t seed) {
  state.store(seed);
  fails.store(seed != 0);
  handles.store(0x1000);
}

// SplitMix64: a step is an addition, so that threads may take turns as they like.
uint64_t next_number() {
  uint64_t word = state.fetch_add(0x9e3779b97f4a7c15) + 0x9e3779b97f4a7c15;
  word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
  word = (word ^ word >> 27) * 0x94d049bb133111eb;
  return word ^ word >> 31;
}

CUresult next_result() {
  static constexpr CUresult kFailures[] = {CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_OUT_OF_MEMORY,
                                           CUDA_ERROR_NOT_READY, CUDA_ERROR_ILLEGAL_ADDRESS};
  const uint64_t number = next_number();
  return number % 16 == 0 && fails.load() ? kFailures[number / 16 % 4] : CUDA_SUCCESS;
}

// Most are new; some are those of something that was there before.
uint64_t next_handle() {
  const uint64_t fresh = handles.fetch_add(16);
  return next_number() % 16 == 0 && fails.load() ? 0x1000 + next_number() % 16 * 16 : fresh;
}

void read_bytes(const void* data, uint64_t bytes) {
  static thread_local std::byte scratch[4096];
  for (uint64_t at = 0; at < bytes; at += sizeof scratch) {
    memcpy(scratch, static_cast<const std::byte*>(data) + at, std::min<uint64_t>(bytes - at, sizeof scratch));
  }
}

void write_bytes(void* data, uint64_t bytes) { memset(data, static_cast<int>(next_number() % 4), bytes); }

}  // namespace tessera::remote::fuzz
