// Earliest deadline first: a tenant's work is due its target wait after it began to wait. Tenants without a
// target are due after kDefaultNs, scaled by their weight: they go round by weight, behind what is urgent.
#pragma once

#include "scheduling/order/order_policy.h"

namespace tessera::scheduling {

class EarliestDeadline : public OrderPolicy {
 public:
  static constexpr Nanoseconds kDefaultNs = 100 * kMillisecond;  // at the default weight

  void joined(TenantId id, const Tenant& tenant, Nanoseconds now) override;
  void left(TenantId) override {}
  void charged(TenantId, const Tenant&, Nanoseconds) override {}
  void quantum_used_up(TenantId id, const Tenant& tenant, Nanoseconds now) override;
  uint64_t rank(TenantId id, const Tenant& tenant, Nanoseconds now) const override;

 private:
  std::vector<Nanoseconds> deadlines_;
};

}  // namespace tessera::scheduling
