// What handing a GPU over costs it: the time of a turn, up to the beginning of the next one, in which nothing
// ran. Only a tenant that has enough to do shows it; one that leaves gaps of its own between its kernels
// looks as if handing over took longer. So it is what a quarter of the last turns lost at most, within
// bounds. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>

#include "scheduling/time.h"

namespace tessera::scheduling {

class SwitchCost {
 public:
  static constexpr Nanoseconds kLeastNs = 20 * kMicrosecond;
  static constexpr Nanoseconds kMostNs = 500 * kMicrosecond;
  static constexpr size_t kTurns = 64;
  static constexpr size_t kAnew = kTurns / 4;  // turns after which it is worked out anew

  // `guess_ns` holds until enough has been seen.
  explicit SwitchCost(Nanoseconds guess_ns) : cost_ns_(guess_ns) {}

  // True where the cost is another now.
  bool add_turn(Nanoseconds lasted_ns, Nanoseconds busy_ns) {
    lost_ns_[count_++ % kTurns] = lasted_ns - std::min(lasted_ns, busy_ns);
    if (count_ % kAnew != 0) return false;
    auto sorted = lost_ns_;
    const size_t filled = std::min(count_, kTurns);
    const auto quarter = sorted.begin() + static_cast<std::ptrdiff_t>(filled / 4);
    std::nth_element(sorted.begin(), quarter, sorted.begin() + static_cast<std::ptrdiff_t>(filled));
    const Nanoseconds before_ns = cost_ns_;
    cost_ns_ = std::clamp(*quarter, kLeastNs, kMostNs);
    return cost_ns_ != before_ns;
  }
  Nanoseconds cost_ns() const { return cost_ns_; }
  bool measured() const { return count_ >= kAnew; }

 private:
  std::array<Nanoseconds, kTurns> lost_ns_{};
  size_t count_ = 0;
  Nanoseconds cost_ns_;
};

}  // namespace tessera::scheduling
