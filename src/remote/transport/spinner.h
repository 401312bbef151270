// Whether to look again before sleeping. A sleeper is woken in tens of microseconds where processors are
// virtual, but looking costs a processor; so it is done only where there are several, and only as long as it
// has paid of late.
#pragma once

#include <atomic>
#include <cstdint>

#include "common/clock.h"

namespace tessera::remote {

// Whether this thread may run on more than one processor.
bool may_spin();

inline void relax_processor() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Several threads may use one: what they learn is shared and need not be exact.
class Spinner {
 public:
  static constexpr uint32_t kMostNs = 50'000;
  static constexpr uint32_t kLeastNs = 1'000;  // so that it is noticed when spinning pays again

  Spinner() : budget_ns_(may_spin() ? kMostNs : 0) {}
  explicit Spinner(uint32_t budget_ns) : budget_ns_(budget_ns) {}

  // Calls `look` until it says true, at most for the budget and `limit_ns`: whether it has. Reads the clock
  // after `looks_per_reading` of them: 1 where a look is a system call.
  template <int looks_per_reading = 16, typename Look>
  bool spin(uint64_t limit_ns, Look look) {
    const uint32_t budget_ns = budget_ns_.load(std::memory_order_relaxed);
    if (budget_ns == 0 || limit_ns == 0) return false;
    const uint64_t started_ns = monotonic_ns();
    const uint64_t end_ns = started_ns + (budget_ns < limit_ns ? budget_ns : limit_ns);
    do {
      for (int i = 0; i < looks_per_reading; ++i) {
        if (look()) {
          learn(budget_ns, true);
          return true;
        }
        relax_processor();
      }
    } while (monotonic_ns() < end_ns);
    learn(budget_ns, false);
    return false;
  }

  uint32_t budget_ns() const { return budget_ns_.load(std::memory_order_relaxed); }

 private:
  // One success makes up for three failures: a wake-up costs more than a look.
  void learn(uint32_t budget_ns, bool paid) {
    const uint32_t next = paid ? budget_ns * 2 : budget_ns - budget_ns / 5;
    const uint32_t bounded = next > kMostNs ? kMostNs : next < kLeastNs ? kLeastNs : next;
    if (bounded != budget_ns) budget_ns_.store(bounded, std::memory_order_relaxed);
  }

  std::atomic<uint32_t> budget_ns_;
};

}  // namespace tessera::remote
