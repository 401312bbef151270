// Multi-level feedback: who uses its quanta up sinks, who gives the GPU back early stays above; short jobs
// get short waits without anyone saying which they are. All rise again every kBoostNs, so none is buried.
#pragma once

#include "scheduling/order/order_policy.h"

namespace tessera::scheduling {

class Feedback : public OrderPolicy {
 public:
  static constexpr uint32_t kLevels = 4;
  static constexpr Nanoseconds kLevelBudgetNs =
      20 * kMillisecond;  // at the top; twice as much at each level below
  static constexpr Nanoseconds kBoostNs = kSecond;

  void joined(TenantId id, const Tenant& tenant, Nanoseconds now) override;
  void left(TenantId) override {}
  void charged(TenantId id, const Tenant& tenant, Nanoseconds busy_ns) override;
  void quantum_used_up(TenantId, const Tenant&, Nanoseconds) override {}
  uint64_t rank(TenantId id, const Tenant& tenant, Nanoseconds now) const override;

 private:
  struct State {
    uint32_t level = 0;
    Nanoseconds used_ns = 0;     // at this level
    Nanoseconds boosted_at = 0;  // period in which it was last lifted
  };

  std::vector<State> states_;
};

}  // namespace tessera::scheduling
