#include "scheduling/faults/fault_history.h"

#include <algorithm>

namespace tessera::scheduling {
namespace {

// Doubled `times` times, without overflow.
Nanoseconds doubled(Nanoseconds first, uint32_t times, Nanoseconds most) {
  const uint32_t shifts = std::min(times, 63u);
  return first > (most >> shifts) ? most : std::min(first << shifts, most);
}

}  // namespace

void FaultHistory::fault(FaultKind kind, Nanoseconds now, Random& random) {
  if (is_forgotten(now)) forgive();
  state_.latest_ns = std::max(state_.latest_ns, now);
  switch (kind) {
    case FaultKind::kTransient:
      state_.transient += state_.transient < UINT32_MAX / 2 ? 1 : 0;
      break;
    case FaultKind::kTenant:
      state_.own += state_.own < UINT32_MAX / 2 ? 1 : 0;
      break;
    case FaultKind::kDevice:
      state_.closed = true;
      return;
    case FaultKind::kDeviceLost:
      state_.lost = true;
      return;
  }
  state_.closed |= state_.own >= terms_.quarantine_after;
  if (faults() <= terms_.free) return;
  const Nanoseconds wait =
      doubled(terms_.first_backoff_ns, faults() - terms_.free - 1, terms_.longest_backoff_ns);
  state_.not_before_ns = state_.latest_ns + wait / 2 + random.below(wait - wait / 2 + 1);
}

FaultHistory::Standing FaultHistory::standing(Nanoseconds now) const {
  if (state_.lost) return {kNever, false, true};
  if (is_forgotten(now)) return {};
  Standing standing;
  standing.isolated = state_.own >= terms_.isolate_after;
  standing.quarantined = state_.closed;
  const Nanoseconds until = state_.closed ? state_.latest_ns + terms_.quiet_ns : state_.not_before_ns;
  standing.not_before_ns = until > now ? until : 0;
  return standing;
}

void FaultHistory::restore(const State& state, Nanoseconds now) {
  state_ = state;
  state_.own = std::min(state.own, UINT32_MAX / 2);
  state_.transient = std::min(state.transient, UINT32_MAX / 2);
  state_.latest_ns = std::min(state.latest_ns, now);
  state_.not_before_ns = std::min(state.not_before_ns, state_.latest_ns + terms_.longest_backoff_ns);
}

}  // namespace tessera::scheduling
