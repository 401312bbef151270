// Start-time fair queueing (Goyal, Vin, Cheng 1996) over GPU time: a tenant's virtual time advances by what
// it used over its weight, the one furthest behind runs. Between two tenants that both always have work, the
// difference of service over weight stays below the sum over both of (longest quantum + longest kernel) /
// weight.
#pragma once

#include "scheduling/order/order_policy.h"

namespace tessera::scheduling {

class WeightedFair : public OrderPolicy {
 public:
  void joined(TenantId id, const Tenant& tenant, Nanoseconds now) override;
  void left(TenantId id) override;
  void charged(TenantId id, const Tenant& tenant, Nanoseconds busy_ns) override;
  void quantum_used_up(TenantId, const Tenant&, Nanoseconds) override {}
  uint64_t rank(TenantId id, const Tenant& tenant, Nanoseconds now) const override;

 private:
  struct State {
    uint64_t virtual_ns = 0;
    bool queued = false;
  };
  // Where the queue stands: the one furthest behind. Never goes back.
  void raise_floor();

  std::vector<State> states_;
  uint64_t floor_ns_ = 0;
};

}  // namespace tessera::scheduling
