#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "scheduling/faults/fault_history.h"
#include "scheduling/faults/xid.h"

namespace tessera::scheduling {
namespace {

TEST(FaultKind, TheProgramsOwnFaultsAreNotTheDevices) {
  for (uint32_t xid : {8u, 13u, 31u, 43u, 45u, 68u, 109u})
    EXPECT_EQ(kind_of_xid(xid), FaultKind::kTenant) << xid;
  for (uint32_t xid : {48u, 62u, 64u, 74u, 95u, 119u, 120u, 140u})
    EXPECT_EQ(kind_of_xid(xid), FaultKind::kDevice) << xid;
  EXPECT_EQ(kind_of_xid(79), FaultKind::kDeviceLost);
  for (uint32_t xid : {63u, 92u, 94u}) EXPECT_EQ(kind_of_xid(xid), FaultKind::kTransient) << xid;
  EXPECT_EQ(kind_of_xid(9999), FaultKind::kTransient);
  EXPECT_EQ(kind_of_cuda_error(700), FaultKind::kTenant);
  EXPECT_EQ(kind_of_cuda_error(214), FaultKind::kDevice);
  EXPECT_EQ(kind_of_cuda_error(46), FaultKind::kDeviceLost);
  EXPECT_EQ(kind_of_cuda_error(2), FaultKind::kTransient);
}

TEST(Xid, SaysWhatHappenedAndWhatHelps) {
  ASSERT_NE(find_xid(95), nullptr);
  EXPECT_STREQ(find_xid(95)->what, "uncontained memory error");
  EXPECT_STREQ(advice_text(find_xid(95)->advice), "reset the GPU");
  EXPECT_EQ(find_xid(1), nullptr);
  EXPECT_EQ(find_xid(9999), nullptr);
}

TEST(FaultHistory, GoesOnAsItWasAfterARestore) {
  Random random(1);
  FaultHistory before(kTenantTerms), after(kTenantTerms);
  for (int i = 0; i < 5; ++i) before.fault(FaultKind::kTenant, 10 * kSecond, random);
  after.restore(before.state(), 11 * kSecond);
  EXPECT_EQ(after.state(), before.state());
  EXPECT_TRUE(after.standing(11 * kSecond).isolated);
  // By a clock that was ahead: it heals no later than if that had happened now.
  FaultHistory ahead(kTenantTerms);
  ahead.restore(before.state(), 2 * kSecond);
  EXPECT_LE(ahead.standing(2 * kSecond).not_before_ns, 2 * kSecond + kTenantTerms.longest_backoff_ns);
  EXPECT_TRUE(ahead.is_forgotten(2 * kSecond + kTenantTerms.quiet_ns));
}

TEST(FaultHistory, ADeviceFaultClosesUntilItHasBeenQuiet) {
  Random random(1);
  FaultHistory gpu(kDeviceTerms);
  for (int i = 0; i < 1000; ++i) gpu.fault(FaultKind::kTenant, kSecond, random);
  EXPECT_FALSE(gpu.standing(kSecond).quarantined) << "what programs do wrong is not the GPU's fault";
  gpu.fault(FaultKind::kDevice, 2 * kSecond, random);
  const auto standing = gpu.standing(2 * kSecond);
  EXPECT_TRUE(standing.quarantined);
  EXPECT_EQ(standing.not_before_ns, 2 * kSecond + kDeviceTerms.quiet_ns);
  EXPECT_TRUE(gpu.standing(standing.not_before_ns - 1).quarantined);
  EXPECT_FALSE(gpu.standing(standing.not_before_ns).quarantined);
  gpu.fault(FaultKind::kDevice, 3 * kSecond, random);
  gpu.forgive();
  EXPECT_FALSE(gpu.standing(3 * kSecond).quarantined);
}

TEST(FaultHistory, ALostDeviceIsNotForgottenByTime) {
  Random random(1);
  FaultHistory gpu(kDeviceTerms);
  gpu.fault(FaultKind::kDeviceLost, 0, random);
  EXPECT_EQ(gpu.standing(1'000'000 * kSecond).not_before_ns, kNever);
  gpu.fault(FaultKind::kTransient, 2'000'000 * kSecond, random);
  EXPECT_TRUE(gpu.standing(2'000'000 * kSecond).quarantined);
  gpu.forgive();
  EXPECT_FALSE(gpu.standing(2'000'000 * kSecond).quarantined);
}

TEST(FaultHistory, SuccessEndsTransientFaultsOnly) {
  Random random(1);
  FaultHistory tenant(kTenantTerms);
  for (int i = 0; i < 3; ++i) tenant.fault(FaultKind::kTransient, 0, random);
  tenant.worked();
  EXPECT_EQ(tenant.faults(), 0u);
  for (int i = 0; i < 4; ++i) tenant.fault(FaultKind::kTenant, 0, random);
  tenant.worked();
  EXPECT_TRUE(tenant.standing(0).isolated);
}

// Faults of one tenant, at random times, some with the clock set back: each wait lies in the upper half of
// what the doubling gives, or is the longest; isolation, then quarantine, come at their counts and not
// before; and after quiet time all is as at first.
TEST(FaultHistory, EscalatesAsAgreedForEverySeed) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed), times(seed + 1'000'000);
    FaultHistory tenant(kTenantTerms);
    Nanoseconds now = kSecond, latest = 0;
    uint32_t count = 0;
    for (int i = 0; i < 100; ++i) {
      now += times.one_in(20) ? 400 * kSecond : times.below(20 * kSecond);
      if (times.one_in(30)) now -= kSecond / 2;
      if (now >= latest && now - latest >= kTenantTerms.quiet_ns) {
        EXPECT_EQ(tenant.standing(now).not_before_ns, 0u) << seed;
        EXPECT_FALSE(tenant.standing(now).isolated || tenant.standing(now).quarantined) << seed;
        count = 0;
      }
      tenant.fault(FaultKind::kTenant, now, random);
      ++count;
      latest = std::max(latest, now);
      const auto standing = tenant.standing(latest);
      EXPECT_EQ(standing.isolated, count >= kTenantTerms.isolate_after) << seed;
      ASSERT_EQ(standing.quarantined, count >= kTenantTerms.quarantine_after) << seed;
      if (standing.quarantined) continue;
      if (count <= kTenantTerms.free) {
        EXPECT_EQ(standing.not_before_ns, 0u) << seed;
        continue;
      }
      const Nanoseconds due = std::min(kTenantTerms.first_backoff_ns << (count - kTenantTerms.free - 1),
                                       kTenantTerms.longest_backoff_ns);
      EXPECT_GE(standing.not_before_ns, latest + due / 2) << seed;
      EXPECT_LE(standing.not_before_ns, latest + due) << seed;
    }
  }
}

// Those that failed together do not come back together.
TEST(FaultHistory, WaitsAreSpreadAndTheSameForTheSameSeed) {
  std::vector<Nanoseconds> first, again;
  for (auto* waits : {&first, &again}) {
    Random random(7);
    for (int tenant = 0; tenant < 100; ++tenant) {
      FaultHistory history({.first_backoff_ns = kSecond});
      history.fault(FaultKind::kTransient, 0, random);
      waits->push_back(history.standing(0).not_before_ns);
    }
  }
  EXPECT_EQ(first, again);
  std::sort(first.begin(), first.end());
  EXPECT_LT(first.front(), 600 * kMillisecond);
  EXPECT_GT(first.back(), 900 * kMillisecond);
}

}  // namespace
}  // namespace tessera::scheduling
