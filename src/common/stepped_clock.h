// A clock for where a few microseconds do not matter and its reading does: clock_gettime() costs 25 ns, and
// is asked again only when the processor's time stamp counter has gone on by kStepTicks. Counters go at 1 GHz
// or more, so what it says is at most 5 us old. One that goes back, as between processors that do not agree,
// is as good as one that has gone on.
//
// Not thread safe.
#pragma once

#include <cstdint>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

namespace tessera {

class SteppedClock {
 public:
  using Source = uint64_t (*)();
  static constexpr uint64_t kStepTicks = 5'000;

  static SteppedClock of(Source now_ns) { return SteppedClock(now_ns, kStepTicks); }
  // Asks each time: for times that somebody makes up.
  static SteppedClock exact(Source now_ns) { return SteppedClock(now_ns, 0); }

  uint64_t now_ns() {
    const uint64_t ticks = read_ticks();
    if (ticks - asked_at_ < step_) return now_ns_;
    asked_at_ = ticks;
    return now_ns_ = source_();
  }

 private:
  SteppedClock(Source source, uint64_t step) : source_(source), step_(step) {}

#ifdef __x86_64__
  static uint64_t read_ticks() { return __rdtsc(); }
#else
  uint64_t read_ticks() const { return asked_at_ + step_; }
#endif

  Source source_;
  uint64_t step_;
  uint64_t asked_at_ = 0;
  uint64_t now_ns_ = 0;
};

}  // namespace tessera
