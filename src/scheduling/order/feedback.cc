#include "scheduling/order/feedback.h"

namespace tessera::scheduling {

// Used time counts over all quanta of a level: giving the GPU back just before each quantum's end does not
// keep a tenant up.
void Feedback::charged(TenantId id, const Tenant&, Nanoseconds busy_ns) {
  State& state = at(states_, id);
  state.used_ns += busy_ns;
  while (state.level + 1 < kLevels && state.used_ns >= kLevelBudgetNs << state.level) {
    state.used_ns -= kLevelBudgetNs << state.level;
    ++state.level;
  }
}

void Feedback::joined(TenantId id, const Tenant&, Nanoseconds now) {
  State& state = at(states_, id);
  if (now / kBoostNs == state.boosted_at) return;
  state = {0, 0, now / kBoostNs};
}

// A tenant that never leaves the queue is lifted too: in the first period after its last lift it stands at
// the top.
uint64_t Feedback::rank(TenantId id, const Tenant& tenant, Nanoseconds now) const {
  if (id >= states_.size()) return 0;
  const State& state = states_[id];
  const bool forgotten = tenant.waiting_since / kBoostNs != now / kBoostNs;
  return forgotten ? 0 : state.level;
}

}  // namespace tessera::scheduling
