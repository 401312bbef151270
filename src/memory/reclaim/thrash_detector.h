// Whether a device's time goes into moving memory instead of work, and how long turns must be so that it does
// not. Pure: it is told what each turn took.
#pragma once

#include <cstdint>

namespace tessera::memory {

class ThrashDetector {
 public:
  struct Limits {
    uint32_t wanted_percent = 5;         // of all time, that moving is to take
    uint32_t thrash_percent = 20;        // what is more is thrash
    uint64_t shortest_ns = 100'000'000;  // a turn
    uint32_t calm_turns = 8;  // in a row, that would have been well within the bound: then it holds again
  };
  explicit ThrashDetector(const Limits& limits) : limits_(limits) {}

  // A turn has ended: so long it worked, and so long memory was moved for the next one. Turns were to be no
  // longer than `bound_ns`, as others wait for theirs.
  void turn_ended(uint64_t working_ns, uint64_t moving_ns, uint64_t bound_ns);

  // How long a turn is to be; within the bound, unless it has thrashed within it and would again: then up to
  // `most_ns`. `move_ns`: how long the next move is expected to take, where that may be longer than what they
  // took of late.
  uint64_t turn_ns(uint64_t bound_ns, uint64_t most_ns, uint64_t move_ns) const;
  // How long a turn's moves took on the average; 0: there was none.
  uint64_t mean_moving_ns() const { return turns_ > 0 ? static_cast<uint64_t>(mean_moving()) : 0; }
  bool thrashing() const { return moving_percent() > limits_.thrash_percent; }
  // Share of time that went into moving memory of late, in percent.
  uint32_t moving_percent() const;

  // What it has seen, for one that goes on where this one ends.
  struct State {
    uint64_t working_ns = 0, moving_ns = 0;  // of a turn, on the average
    bool backs_off = false;
  };
  State state() const;
  void restore(const State& state);

 private:
  double mean_moving() const { return moving_ / turns_; }
  bool would_thrash(uint64_t turn_ns) const;

  const Limits limits_;
  double working_ = 0, moving_ = 0, turns_ = 0;  // of late
  bool backs_off_ = false;                       // turns within the bound are too short
  uint32_t calm_turns_ = 0;
};

}  // namespace tessera::memory
