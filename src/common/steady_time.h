// The one way from readings of a clock to the time that policies go by. A clock may be set, and that of a
// machine that was suspended or moved may be off by hours; this time
//
//   - never goes back: where the clock does, it stands still for that reading and goes on from there, so that
//     nobody waits until the clock has caught up;
//   - leaps no further than a process that waits for something may plausibly be late: nobody is charged an
//     hour, or has waited for one, that did not pass.
//
// Whoever waits says until when. While it waits for nothing any length of time may have gone by. As long as
// the clock does not jump, this is what it says.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tessera {

class SteadyTime {
 public:
  // How late a process on a busy machine may be heard: beyond that it is the clock, or nobody looked, and
  // who had what meanwhile cannot be said.
  static constexpr uint64_t kMostLateNs = 1'000'000'000;

  // `clock_ns` is what the clock says now.
  uint64_t read(uint64_t clock_ns) {
    if (!started_) {
      started_ = true;
      now_ns_ = clock_ns;
    } else if (clock_ns > clock_ns_) {
      now_ns_ += std::min(clock_ns - clock_ns_, most_ns());
    }
    clock_ns_ = clock_ns;
    return now_ns_;
  }

  // The next reading is due by then; UINT64_MAX: whenever something happens.
  void expect(uint64_t due_ns) { due_ns_ = due_ns; }

  // The time of an earlier reading that somebody else took of the clock; never beyond the last one here.
  uint64_t when(uint64_t clock_ns) const {
    const uint64_t ago_ns = clock_ns_ - std::min(clock_ns_, clock_ns);
    return now_ns_ - std::min(now_ns_, ago_ns);
  }

 private:
  uint64_t most_ns() const {
    if (due_ns_ >= UINT64_MAX - kMostLateNs) return UINT64_MAX - now_ns_;
    return std::max(due_ns_, now_ns_) - now_ns_ + kMostLateNs;
  }

  bool started_ = false;
  uint64_t clock_ns_ = 0;  // at the last reading
  uint64_t now_ns_ = 0;
  uint64_t due_ns_ = UINT64_MAX;
};

}  // namespace tessera
