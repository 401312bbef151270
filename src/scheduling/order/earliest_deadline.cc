#include "scheduling/order/earliest_deadline.h"

namespace tessera::scheduling {
namespace {

Nanoseconds allowance(const Tenant& tenant) {
  if (tenant.spec.target_wait_ns != 0) return tenant.spec.target_wait_ns;
  return scaled(EarliestDeadline::kDefaultNs, kDefaultWeight, tenant.spec.weight);
}

}  // namespace

void EarliestDeadline::joined(TenantId id, const Tenant& tenant, Nanoseconds now) {
  at(deadlines_, id) = now + allowance(tenant);
}

void EarliestDeadline::quantum_used_up(TenantId id, const Tenant& tenant, Nanoseconds now) {
  at(deadlines_, id) = now + allowance(tenant);
}

uint64_t EarliestDeadline::rank(TenantId id, const Tenant&, Nanoseconds) const {
  return id < deadlines_.size() ? deadlines_[id] : 0;
}

}  // namespace tessera::scheduling
