#include "scheduling/device_scheduler.h"

#include <gtest/gtest.h>

namespace tessera::scheduling {
namespace {

std::unique_ptr<DeviceScheduler> make(const SchedulerConfig& config = {}) {
  auto scheduler = DeviceScheduler::create(config);
  EXPECT_TRUE(scheduler.ok());
  return std::move(*scheduler);
}

TenantId add(DeviceScheduler& scheduler, const TenantSpec& spec, Nanoseconds now = 0) {
  const auto id = scheduler.add(spec, now);
  EXPECT_TRUE(id.ok()) << id.status().message();
  return *id;
}

// Time that each of `tenants` is granted in `seconds` where all always have work and use all they get.
std::vector<double> shares(DeviceScheduler& scheduler, const std::vector<TenantId>& tenants,
                           uint64_t seconds) {
  for (TenantId id : tenants) scheduler.wake(id, 0);
  std::vector<double> used(tenants.size());
  Nanoseconds now = 0;
  const Nanoseconds end = seconds * kSecond;
  while (now < end) {
    const std::vector<Grant> grants = scheduler.decide(now);
    const Nanoseconds next = std::min(end, scheduler.next_decision_ns());
    for (const Grant& grant : grants) {
      scheduler.charge(grant.tenant, next - now, 1, next);
      used[grant.tenant] += static_cast<double>(next - now) / static_cast<double>(end);
    }
    now = next;
  }
  return used;
}

TEST(DeviceScheduler, AloneTheGrantIsOpen) {
  auto scheduler = make();
  const TenantId one = add(*scheduler, {});
  scheduler->wake(one, 0);
  ASSERT_EQ(scheduler->decide(0).size(), 1u);
  EXPECT_EQ(scheduler->grants()[0].until_ns, kNever);
  EXPECT_EQ(scheduler->next_decision_ns(), kNever);
}

TEST(DeviceScheduler, CompetitionClosesTheGrant) {
  auto scheduler = make();
  const TenantId one = add(*scheduler, {}), other = add(*scheduler, {});
  scheduler->wake(one, 0);
  scheduler->decide(0);
  scheduler->wake(other, kSecond);
  scheduler->decide(kSecond);
  EXPECT_LE(scheduler->next_decision_ns(), kSecond + scheduler->config().limits.longest_ns);
}

TEST(DeviceScheduler, SharesAreAsPromised) {
  auto scheduler = make();
  std::vector<TenantId> tenants;
  for (uint32_t share : {400u, 300u, 150u, 100u, 50u}) {
    TenantSpec spec;
    spec.share_permille = share;
    tenants.push_back(add(*scheduler, spec));
  }
  const std::vector<double> used = shares(*scheduler, tenants, 10);
  const double expected[] = {0.40, 0.30, 0.15, 0.10, 0.05};
  for (size_t i = 0; i < used.size(); ++i) EXPECT_NEAR(used[i], expected[i], 0.01) << i;
}

// The one with the most weight once had its turns in a row, so that the others waited for all of these.
TEST(DeviceScheduler, EachHasATurnInARound) {
  auto scheduler = make();
  TenantSpec quarter, rest;
  quarter.share_permille = 250;
  rest.share_permille = 750;
  const TenantId a = add(*scheduler, quarter), b = add(*scheduler, rest);
  scheduler->wake(a, 0);
  scheduler->wake(b, 0);
  Nanoseconds now = 0;
  TenantId last = b;
  for (int turn = 0; turn < 100; ++turn) {
    const TenantId running = scheduler->decide(now)[0].tenant;
    EXPECT_NE(running, last) << "turn " << turn;
    last = running;
    const Nanoseconds next = scheduler->next_decision_ns();
    scheduler->charge(running, next - now, 1, next);
    now = next;
  }
}

TEST(DeviceScheduler, WhatSharesLeaveOverIsPartedByWeight) {
  auto scheduler = make();
  TenantSpec promised, heavy, light;
  promised.share_permille = 250;
  heavy.weight = 200;
  const std::vector<TenantId> tenants = {add(*scheduler, promised), add(*scheduler, heavy),
                                         add(*scheduler, light)};
  const std::vector<double> used = shares(*scheduler, tenants, 10);
  EXPECT_NEAR(used[0], 0.25, 0.01);
  EXPECT_NEAR(used[1], 0.50, 0.01);
  EXPECT_NEAR(used[2], 0.25, 0.01);
}

TEST(DeviceScheduler, ACeilingHoldsOnAnIdleGpu) {
  auto scheduler = make();
  TenantSpec spec;
  spec.cap_permille = 300;
  EXPECT_NEAR(shares(*scheduler, {add(*scheduler, spec)}, 10)[0], 0.30, 0.01);
}

TEST(DeviceScheduler, APromisedShareHoldsAgainstAMoreUrgentClass) {
  auto scheduler = make();
  TenantSpec urgent, promised;
  urgent.priority = PriorityClass::kRealtime;
  promised.share_permille = 200;
  const std::vector<TenantId> tenants = {add(*scheduler, urgent), add(*scheduler, promised)};
  EXPECT_NEAR(shares(*scheduler, tenants, 10)[1], 0.20, 0.02);
}

TEST(DeviceScheduler, AnUrgentTenantEndsAGrantAtOnce) {
  auto scheduler = make();
  TenantSpec high;
  high.priority = PriorityClass::kHigh;
  const TenantId normal = add(*scheduler, {}), urgent = add(*scheduler, high);
  scheduler->wake(normal, 0);
  scheduler->decide(0);
  scheduler->wake(urgent, kMillisecond);
  ASSERT_EQ(scheduler->decide(kMillisecond).size(), 1u);
  EXPECT_EQ(scheduler->grants()[0].tenant, urgent);
}

// Nobody reports what the one that runs has used before its turn ends.
TEST(DeviceScheduler, ATargetEndsAnothersTurnAtHalfOfIt) {
  auto scheduler = make();
  TenantSpec soon;
  soon.target_wait_ns = 6 * kMillisecond;
  const TenantId busy = add(*scheduler, {}), other = add(*scheduler, {}), urgent = add(*scheduler, soon);
  scheduler->wake(busy, 0);
  scheduler->wake(other, 0);
  ASSERT_EQ(scheduler->decide(0)[0].tenant, busy);
  scheduler->wake(urgent, kMillisecond);
  scheduler->decide(kMillisecond);
  EXPECT_EQ(scheduler->next_decision_ns(), 4 * kMillisecond);
  ASSERT_EQ(scheduler->decide(4 * kMillisecond).size(), 1u);
  EXPECT_EQ(scheduler->grants()[0].tenant, urgent);
}

// It may not come too soon for the one that runs, nor where it has had more than that one.
TEST(DeviceScheduler, ATargetIsNoPriority) {
  auto scheduler = make();
  TenantSpec soon;
  soon.target_wait_ns = kMicrosecond;
  const TenantId busy = add(*scheduler, {}), urgent = add(*scheduler, soon);
  scheduler->wake(busy, 0);
  scheduler->decide(0);
  scheduler->wake(urgent, kMicrosecond);
  scheduler->decide(2 * kMicrosecond);
  EXPECT_EQ(scheduler->grants()[0].tenant, busy);
  EXPECT_EQ(scheduler->next_decision_ns(), scheduler->config().limits.shortest_ns);
  scheduler->decide(kMillisecond);
  ASSERT_EQ(scheduler->grants()[0].tenant, urgent);
  scheduler->charge(urgent, 20 * kMillisecond, 1, 21 * kMillisecond);
  scheduler->decide(scheduler->next_decision_ns());
  ASSERT_EQ(scheduler->grants()[0].tenant, busy);
  const Nanoseconds due = scheduler->next_decision_ns();
  scheduler->decide(due);
  EXPECT_EQ(scheduler->grants()[0].tenant, busy) << "the other has used 20 ms";
  EXPECT_GT(scheduler->next_decision_ns(), due);
}

TEST(DeviceScheduler, NarrowTenantsRunSideBySide) {
  auto scheduler = make();
  TenantSpec half;
  half.width_permille = 500;
  const TenantId a = add(*scheduler, half), b = add(*scheduler, half);
  scheduler->wake(a, 0);
  scheduler->wake(b, 0);
  EXPECT_EQ(scheduler->decide(0).size(), 2u);
}

TenantSpec narrow(uint32_t permille) {
  TenantSpec spec;
  spec.width_permille = permille;
  return spec;
}

// Two that fit beside each other and one that fits beside nobody.
TEST(DeviceScheduler, WhoRunsBesideOthersTakesNothingFromWhoDoesNotFit) {
  for (const uint32_t weight : {100u, 400u}) {
    auto scheduler = make();
    TenantSpec heavy = narrow(250);
    heavy.weight = weight;
    const TenantId a = add(*scheduler, narrow(125)), b = add(*scheduler, heavy), wide = add(*scheduler, {});
    const auto used = shares(*scheduler, {a, b, wide}, 20);
    const double one = 100.0 / (200 + weight);  // in turns
    EXPECT_GE(used[a], one - 0.01);
    EXPECT_GE(used[b], weight * one / 100 - 0.01);
    EXPECT_GE(used[wide], one - 0.01);
    EXPECT_GT(used[a] + used[b] + used[wide], 1.3) << "but together they have more";
  }
}

// What it had beside others was nobody's: it owes nothing for it when they are gone.
TEST(DeviceScheduler, WhoFilledAGapHasItsTurnsAfterwards) {
  auto scheduler = make();
  TenantSpec heavy = narrow(125);
  heavy.weight = 1000;
  const TenantId filler = add(*scheduler, narrow(125)), first = add(*scheduler, heavy),
                 wide = add(*scheduler, {});
  shares(*scheduler, {filler, first, wide}, 5);
  scheduler->remove(first, 5 * kSecond);
  Nanoseconds had = 0;
  for (Nanoseconds now = 5 * kSecond; now < 5500 * kMillisecond;) {
    const std::vector<Grant> grants = scheduler->decide(now);
    const Nanoseconds next = scheduler->next_decision_ns();
    for (const Grant& grant : grants) {
      scheduler->charge(grant.tenant, next - now, 1, next);
      had += grant.tenant == filler ? next - now : 0;
    }
    now = next;
  }
  EXPECT_GT(had, 200 * kMillisecond) << "of 500, in turns with one other";
}

TEST(DeviceScheduler, WhereNobodyWaitsEachPaysForItsWidth) {
  auto scheduler = make();
  const TenantId a = add(*scheduler, narrow(125)), b = add(*scheduler, narrow(250));
  const auto used = shares(*scheduler, {a, b}, 2);
  EXPECT_NEAR(used[a], 1, 0.001);
  EXPECT_NEAR(used[b], 1, 0.001);
  EXPECT_NEAR(static_cast<double>(scheduler->tenant(a).served_ns), 0.125 * 2e9, 1e7);
  EXPECT_NEAR(static_cast<double>(scheduler->tenant(b).served_ns), 0.25 * 2e9, 1e7);
}

TEST(DeviceScheduler, ACeilingCountsTheTimeWhole) {
  auto scheduler = make();
  TenantSpec capped = narrow(125);
  capped.cap_permille = 250;
  const TenantId a = add(*scheduler, capped), b = add(*scheduler, narrow(125));
  const auto used = shares(*scheduler, {a, b}, 20);
  EXPECT_NEAR(used[a], 0.25, 0.01);
  EXPECT_NEAR(used[b], 1, 0.001);
}

TEST(DeviceScheduler, AWidthThatIsFoundOutChangesTheGrantWhereThereIsRoom) {
  auto scheduler = make();
  const TenantId a = add(*scheduler, {}), b = add(*scheduler, {});
  for (TenantId id : {a, b}) scheduler->wake(id, 0);
  ASSERT_EQ(scheduler->decide(0).size(), 1u);
  scheduler->set_width(b, 250, 1);
  scheduler->set_width(a, 500, 1);
  EXPECT_EQ(scheduler->decide(1).size(), 2u);
  scheduler->set_width(a, 750, 2);
  EXPECT_EQ(scheduler->grants().size(), 2u);
  EXPECT_EQ(scheduler->grants()[0].since_ns, 0u) << "the same grant";
  scheduler->set_width(b, 500, 3);
  ASSERT_EQ(scheduler->grants().size(), 1u) << "no room beside the other";
  EXPECT_EQ(scheduler->grants()[0].tenant, a);
}

// What is told in between moves the clock on; it must not move the deadline along.
TEST(DeviceScheduler, ADueDecisionStaysDueUntilItIsTaken) {
  auto scheduler = make();
  TenantSpec bounded;
  bounded.cap_permille = 400;
  const TenantId a = *scheduler->add(bounded, 0), b = *scheduler->add({}, 0);
  scheduler->wake(a, 0);
  scheduler->decide(0);
  scheduler->charge(a, 200 * kMillisecond, 1, 200 * kMillisecond);
  scheduler->wake(b, 200 * kMillisecond);
  scheduler->decide(200 * kMillisecond);
  ASSERT_TRUE(scheduler->throttled(a));
  Nanoseconds now = 200 * kMillisecond;
  while (scheduler->throttled(a)) {
    now = std::max(scheduler->next_decision_ns(), now);
    ASSERT_LT(now, 2 * kSecond);
    scheduler->charge(b, 1, 0, now);
    ASSERT_LE(scheduler->next_decision_ns(), now);
    scheduler->decide(now);
  }
}

TEST(DeviceScheduler, RefusesWhatMakesNoSense) {
  auto scheduler = make();
  TenantSpec spec;
  spec.weight = 0;
  EXPECT_EQ(scheduler->add(spec, 0).status().code(), Code::kInvalidArgument);
  spec.weight = 1;
  spec.share_permille = 500;
  spec.cap_permille = 400;
  EXPECT_EQ(scheduler->add(spec, 0).status().code(), Code::kInvalidArgument);
  SchedulerConfig config;
  config.order = "first-come";
  EXPECT_EQ(DeviceScheduler::create(config).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace tessera::scheduling
