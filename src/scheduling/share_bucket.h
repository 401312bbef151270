// A part of a GPU's time as tokens: they accrue at the part's rate up to a burst, and what was used is taken
// out, below zero where a kernel ran longer than foreseen. One such bucket is a ceiling (nothing runs without
// tokens), another the credit of a promised share. Over any stretch of time t the use is at most rate * t +
// burst + one kernel.
#pragma once

#include <algorithm>
#include <cstdint>

#include "scheduling/time.h"

namespace tessera::scheduling {

class ShareBucket {
 public:
  ShareBucket() = default;
  // Starts full.
  ShareBucket(uint32_t permille, Nanoseconds burst_ns, Nanoseconds now)
      : permille_(permille), burst_ns_(static_cast<int64_t>(burst_ns)), level_ns_(burst_ns_), at_(now) {}

  void advance(Nanoseconds now) {
    const Nanoseconds lasted = elapsed(at_, now);
    // Whole tokens only: the rest of the time counts with the next call.
    const auto gained = static_cast<int64_t>(scaled(std::min(lasted, kLongest), permille_, kWhole));
    if (gained == 0 && permille_ != 0) return;
    level_ns_ = std::min(burst_ns_, level_ns_ + gained);
    at_ = std::max(at_, now);
  }
  void spend(Nanoseconds used_ns) { level_ns_ -= static_cast<int64_t>(std::min(used_ns, kLongest)); }

  int64_t level_ns() const { return level_ns_; }
  int64_t burst_ns() const { return burst_ns_; }
  bool empty() const { return level_ns_ <= 0; }
  // When there will be `wanted_ns`, at most the burst, if nothing is spent until then.
  Nanoseconds reaches_at(Nanoseconds wanted_ns) const {
    const int64_t missing = std::min(static_cast<int64_t>(wanted_ns), burst_ns_) - level_ns_;
    if (missing <= 0) return at_;
    if (permille_ == 0) return kNever;
    return at_ + scaled(static_cast<uint64_t>(missing), kWhole, permille_) + 1;
  }

 private:
  static constexpr Nanoseconds kLongest = 1'000'000 * kSecond;  // keeps every sum in 64 bits

  uint32_t permille_ = 0;
  int64_t burst_ns_ = 0;
  int64_t level_ns_ = 0;
  Nanoseconds at_ = 0;
};

}  // namespace tessera::scheduling
