// What a bad network does to bytes. All of it follows from a seed and from how many bytes have gone by, never
// from the clock, so that a run can be had again.
#pragma once

#include <cstdint>
#include <random>

namespace tessera::remote {

struct Conditions {
  uint64_t delay_ns = 0;          // each way
  uint64_t jitter_ns = 0;         // at most, on top; order is kept
  uint64_t bytes_per_second = 0;  // each way; 0: as fast as it goes
  uint64_t merge_ns = 0;          // bytes wait for more that long
  bool split = false;             // into pieces of a few bytes
  // Mean bytes between two of each, each way; 0: never.
  uint64_t corrupt_every = 0;  // a byte is another
  uint64_t reset_every = 0;    // both ends see a reset
  uint64_t drop_every = 0;     // both ends see the end
  uint64_t stall_every = 0;    // nothing goes on for stall_ns
  uint64_t stall_ns = 100'000'000;
};

enum class Fault { kNone, kCorrupt, kReset, kDrop, kStall };

// Where in one direction of a connection something happens.
class FaultPlan {
 public:
  FaultPlan(const Conditions& conditions, uint64_t seed, uint64_t connection, bool upward)
      : random_(seed * 0x9e3779b97f4a7c15 + connection * 2 + (upward ? 1 : 0)) {
    const uint64_t means[] = {conditions.corrupt_every, conditions.reset_every, conditions.drop_every,
                              conditions.stall_every};
    for (int i = 0; i < kKinds; ++i) {
      means_[i] = means[i];
      next_[i] = means[i] == 0 ? UINT64_MAX : distance(means[i]);
    }
  }

  // The first that happens within the next `count` bytes, and after how many of them.
  Fault next(uint64_t count, uint64_t* after) {
    int first = 0;
    for (int i = 1; i < kKinds; ++i)
      if (next_[i] < next_[first]) first = i;
    if (next_[first] == UINT64_MAX || next_[first] >= position_ + count) {
      position_ += count;
      return Fault::kNone;
    }
    *after = next_[first] - position_;
    position_ = next_[first];
    next_[first] += 1 + distance(means_[first]);
    return static_cast<Fault>(first + 1);
  }

  std::mt19937_64& random() { return random_; }

 private:
  static constexpr int kKinds = 4;
  uint64_t distance(uint64_t mean) {
    return static_cast<uint64_t>(
        std::exponential_distribution<double>(1.0 / static_cast<double>(mean))(random_));
  }

  std::mt19937_64 random_;
  uint64_t position_ = 0;
  uint64_t means_[kKinds] = {};
  uint64_t next_[kKinds] = {};
};

}  // namespace tessera::remote
