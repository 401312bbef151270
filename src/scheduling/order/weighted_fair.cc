#include "scheduling/order/weighted_fair.h"

#include <algorithm>

namespace tessera::scheduling {
namespace {

// Weights are millionths of the GPU: one that has it all advances by what it uses.
constexpr uint64_t kUnitWeight = 1'000'000;

}  // namespace

void WeightedFair::raise_floor() {
  uint64_t least = UINT64_MAX;
  for (const State& state : states_) {
    if (state.queued) least = std::min(least, state.virtual_ns);
  }
  if (least != UINT64_MAX) floor_ns_ = std::max(floor_ns_, least);
}

// Who had no work gets no credit for it.
void WeightedFair::joined(TenantId id, const Tenant&, Nanoseconds) {
  State& own = at(states_, id);
  own.queued = false;
  raise_floor();
  own.queued = true;
  own.virtual_ns = std::max(own.virtual_ns, floor_ns_);
}

void WeightedFair::left(TenantId id) {
  raise_floor();
  at(states_, id).queued = false;
}

void WeightedFair::charged(TenantId id, const Tenant& tenant, Nanoseconds busy_ns) {
  at(states_, id).virtual_ns += scaled(busy_ns, kUnitWeight, std::max<uint64_t>(tenant.effective_weight, 1));
}

uint64_t WeightedFair::rank(TenantId id, const Tenant&, Nanoseconds) const {
  return id < states_.size() ? states_[id].virtual_ns : 0;
}

}  // namespace tessera::scheduling
