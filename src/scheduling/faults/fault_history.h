// The faults of one GPU or one tenant, and what they lead to: after a few it has to wait before it tries
// again, twice as long each time; one that goes on is kept apart from others; and one that cannot be trusted
// any more is closed. Quiet time heals. On a clock that is given to it; a clock that goes back heals nothing.
#pragma once

#include <cstdint>

#include "scheduling/faults/fault_kind.h"
#include "scheduling/random.h"
#include "scheduling/time.h"

namespace tessera::scheduling {

struct FaultTerms {
  uint32_t free = 0;                       // faults that lead to nothing
  Nanoseconds first_backoff_ns = kSecond;  // doubled with each fault after it
  Nanoseconds longest_backoff_ns = 60 * kSecond;
  uint32_t isolate_after = 4;            // faults of its own
  uint32_t quarantine_after = 16;        // likewise; a fault of the device closes it at once
  Nanoseconds quiet_ns = 600 * kSecond;  // without a fault: all is forgiven
};

// Of a GPU: programs' faults are nothing to it.
inline constexpr FaultTerms kDeviceTerms = {.free = UINT32_MAX,
                                            .isolate_after = UINT32_MAX,
                                            .quarantine_after = UINT32_MAX,
                                            .quiet_ns = 600 * kSecond};
// Of a tenant: someone who looks for a mistake may make it a few times in a row.
inline constexpr FaultTerms kTenantTerms = {.free = 3, .quiet_ns = 300 * kSecond};

class FaultHistory {
 public:
  explicit FaultHistory(const FaultTerms& terms) : terms_(terms) {}

  // `random` spreads those that failed together: a wait is drawn from the upper half of what is due.
  void fault(FaultKind kind, Nanoseconds now, Random& random);
  // It worked: transient faults are over with that, others need time.
  void worked() { state_.transient = 0; }
  void forgive() { state_ = State(); }

  struct Standing {
    Nanoseconds not_before_ns = 0;  // when it may try again; 0: now, kNever: not until it is forgiven
    bool isolated = false;          // is to run alone
    bool quarantined = false;
  };
  Standing standing(Nanoseconds now) const;
  uint32_t faults() const { return state_.own + state_.transient; }
  // Nothing of it counts any more.
  bool is_forgotten(Nanoseconds now) const {
    return !state_.lost && elapsed(state_.latest_ns, now) >= terms_.quiet_ns;
  }

  // All that it knows: for a journal.
  struct State {
    uint32_t own = 0, transient = 0;
    bool closed = false, lost = false;
    Nanoseconds latest_ns = 0;
    Nanoseconds not_before_ns = 0;
    bool operator==(const State&) const = default;
  };
  const State& state() const { return state_; }
  // As it was, on another clock perhaps: what lies ahead of `now` counts as now.
  void restore(const State& state, Nanoseconds now);

 private:
  FaultTerms terms_;
  State state_;
};

}  // namespace tessera::scheduling
