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
  if (is_forgotten(now) && !lost_) forgive();
  latest_ = kind;
  latest_ns_ = std::max(latest_ns_, now);
  switch (kind) {
    case FaultKind::kTransient:
      transient_ += transient_ < UINT32_MAX / 2 ? 1 : 0;
      break;
    case FaultKind::kTenant:
      own_ += own_ < UINT32_MAX / 2 ? 1 : 0;
      break;
    case FaultKind::kDevice:
      closed_ = true;
      return;
    case FaultKind::kDeviceLost:
      lost_ = true;
      return;
  }
  closed_ |= own_ >= terms_.quarantine_after;
  if (faults() <= terms_.free) return;
  const Nanoseconds wait =
      doubled(terms_.first_backoff_ns, faults() - terms_.free - 1, terms_.longest_backoff_ns);
  not_before_ns_ = latest_ns_ + wait / 2 + random.below(wait - wait / 2 + 1);
}

FaultHistory::Standing FaultHistory::standing(Nanoseconds now) const {
  if (lost_) return {kNever, false, true};
  if (is_forgotten(now)) return {};
  Standing standing;
  standing.isolated = own_ >= terms_.isolate_after;
  standing.quarantined = closed_;
  const Nanoseconds until = closed_ ? latest_ns_ + terms_.quiet_ns : not_before_ns_;
  standing.not_before_ns = until > now ? until : 0;
  return standing;
}

}  // namespace tessera::scheduling
