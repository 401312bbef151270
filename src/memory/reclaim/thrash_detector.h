// Whether a device's time goes into moving memory instead of work, and how long turns must be so that it does
// not. Pure: it is told what each turn took.
#pragma once

#include <cstdint>

namespace tessera::memory {

class ThrashDetector {
 public:
  struct Limits {
    uint32_t moving_percent = 20;                        // of all time, at most: what is more is thrash
    uint64_t shortest_ns = 100'000'000;                  // a turn
    uint64_t longest_ns = uint64_t{10} * 1'000'000'000;  // so that everybody gets on, however bad it is
  };
  explicit ThrashDetector(const Limits& limits) : limits_(limits), turn_ns_(limits.shortest_ns) {}

  // A turn has ended: so long it worked, and so long memory was moved for it before.
  void turn_ended(uint64_t working_ns, uint64_t moving_ns);

  // More than the limit, even in turns as long as they may be, or until turns have become long enough.
  bool thrashing() const { return thrashing_; }
  // How long the next turn is to be. Twice as long as the one before at most, and half as long at least.
  uint64_t turn_ns() const { return turn_ns_; }
  // Share of time that went into moving memory of late, in percent.
  uint32_t moving_percent() const;

 private:
  const Limits limits_;
  uint64_t turn_ns_;
  double working_ = 0, moving_ = 0;  // of late
  bool thrashing_ = false;
};

}  // namespace tessera::memory
