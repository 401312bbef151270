// In which order tenants of one priority class get the GPU. A policy keeps what it needs per tenant and
// answers with a rank; everything else (classes, ceilings, quanta, who runs now) is the DeviceScheduler's.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "scheduling/tenant.h"

namespace tessera::scheduling {

class OrderPolicy {
 public:
  virtual ~OrderPolicy() = default;

  // The tenant joins the class's queue: it is new to the class, has work again, or may run again after its
  // ceiling.
  virtual void joined(TenantId id, const Tenant& tenant, Nanoseconds now) = 0;
  // It leaves it: no work, its ceiling is reached, or its class is another one now.
  virtual void left(TenantId id) = 0;
  // It used `busy_ns` of the GPU, times the width it fills.
  virtual void charged(TenantId id, const Tenant& tenant, Nanoseconds busy_ns) = 0;
  // Its quantum ended while it still had work.
  virtual void quantum_used_up(TenantId id, const Tenant& tenant, Nanoseconds now) = 0;
  // The least runs first; among equals the one that was served longest ago.
  virtual uint64_t rank(TenantId id, const Tenant& tenant, Nanoseconds now) const = 0;

 protected:
  // Per-tenant state in a table that grows with the ids.
  template <typename State>
  static State& at(std::vector<State>& states, TenantId id) {
    if (id >= states.size()) states.resize(id + 1);
    return states[id];
  }
};

// "weighted-fair", "feedback" or "earliest-deadline"; an unknown name is an error that lists them.
Result<std::unique_ptr<OrderPolicy>> make_order_policy(std::string_view name);

}  // namespace tessera::scheduling
