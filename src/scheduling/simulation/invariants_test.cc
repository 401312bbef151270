// The checks themselves, on a scheduler that breaks a promise.
#include "scheduling/simulation/invariants.h"

#include <gtest/gtest.h>

namespace tessera::scheduling {
namespace {

// Whoever is of a lower class waits for ever.
class NobodyStarves : public DeviceScheduler {
 public:
  NobodyStarves() : DeviceScheduler(SchedulerConfig()) { EXPECT_TRUE(make_policies().ok()); }
  Nanoseconds waited_ns(const Slot&, Nanoseconds) const override { return 0; }
};

// A weight that is raised meanwhile makes the next wait shorter, not this one wrong.
TEST(Invariants, AWaitIsHeldToTheGreatestBoundThatThereWasInIt) {
  NobodyStarves scheduler;
  TenantSpec urgent, light;
  urgent.priority = PriorityClass::kHigh;
  urgent.weight = kMaxWeight;
  light.weight = 1;
  const TenantId holder = *scheduler.add(urgent, 0), waiter = *scheduler.add(light, 0);
  scheduler.wake(holder, 0);
  scheduler.wake(waiter, 0);
  Invariants invariants(scheduler.config(), true);
  const std::vector<Observed> observed(2, Observed{true, true, kMillisecond});
  Nanoseconds now = 0, longest_bound = 0, broken_at = 0;
  while (broken_at == 0 && now < 60 * kSecond) {
    now += 10 * kMillisecond;
    if (now == 2 * kSecond) {
      longest_bound = scheduler.starvation_bound(waiter);
      light.weight = kMaxWeight;
      ASSERT_TRUE(scheduler.update(waiter, light, now).ok());
      ASSERT_LT(scheduler.starvation_bound(waiter), kSecond);
    }
    scheduler.charge(holder, 10 * kMillisecond, 10, now);
    scheduler.decide(now);
    invariants.charged(holder, 10 * kMillisecond);
    if (invariants.check(scheduler, observed, {now, now}, now)) broken_at = now;
  }
  const Nanoseconds slack = 3 * (scheduler.config().limits.longest_ns + kMillisecond);
  EXPECT_GT(broken_at, longest_bound + slack);
  EXPECT_LE(broken_at, longest_bound + slack + 20 * kMillisecond);
}

}  // namespace
}  // namespace tessera::scheduling
