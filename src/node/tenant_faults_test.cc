#include "node/tenant_faults.h"

#include <gtest/gtest.h>

namespace tessera::node {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kIllegalAddress = 700, kEccUncorrectable = 214;

TEST(TenantFaults, TheFourthInARowHasToWait) {
  TenantFaults faults(1);
  for (int i = 0; i < 3; ++i) faults.faulted(1, "a", kIllegalAddress, kSecond);
  EXPECT_TRUE(faults.check(1, "a", kSecond).ok());
  faults.faulted(1, "a", kIllegalAddress, kSecond);
  const Status refused = faults.check(1, "a", kSecond);
  EXPECT_EQ(refused.code(), Code::kUnavailable);
  EXPECT_NE(refused.message().find("'a' has failed on the GPU 4 times in a row, last with CUDA error 700"),
            std::string::npos);
  EXPECT_TRUE(faults.check(2, "a", kSecond).ok()) << "another user";
  EXPECT_TRUE(faults.check(1, "b", kSecond).ok()) << "another program";
  EXPECT_TRUE(faults.check(1, "a", 2 * kSecond).ok()) << "a second later";
}

TEST(TenantFaults, WhoKeepsFailingIsIsolatedUntilItIsQuietOrForgiven) {
  TenantFaults faults(1);
  for (int i = 0; i < 3; ++i) faults.faulted(1, "a", kIllegalAddress, kSecond);
  EXPECT_FALSE(faults.isolated(1, "a", kSecond));
  faults.faulted(1, "a", kIllegalAddress, kSecond);
  EXPECT_TRUE(faults.isolated(1, "a", kSecond));
  EXPECT_FALSE(faults.isolated(1, "b", kSecond));
  EXPECT_FALSE(faults.isolated(1, "a", 301 * kSecond));
  EXPECT_FALSE(faults.forgive("b"));
  EXPECT_TRUE(faults.forgive("a"));
  EXPECT_FALSE(faults.isolated(1, "a", kSecond));
  EXPECT_TRUE(faults.check(1, "a", kSecond).ok());
}

TEST(TenantFaults, AnotherDaemonKnowsWhatTheJournalSays) {
  TenantFaults before(1), after(2);
  for (int i = 0; i < 20; ++i) before.faulted(1, "a", kIllegalAddress, kSecond);
  EXPECT_EQ(before.take_touched(), std::set<TenantFaults::Key>({{1, "a"}}));
  EXPECT_TRUE(before.take_touched().empty());
  const TenantFaults::Record& record = before.records().at({1, "a"});
  after.restore({1, "a"}, record.history.state(), record.latest_error, 2 * kSecond);
  EXPECT_EQ(after.check(1, "a", 2 * kSecond).message(), before.check(1, "a", 2 * kSecond).message());
  EXPECT_FALSE(after.check(1, "a", 2 * kSecond).ok());
  after.forget_quiet(302 * kSecond);
  EXPECT_TRUE(after.records().empty());
}

TEST(TenantFaults, WhatIsTheDevicesIsNotTheTenants) {
  TenantFaults faults(1);
  for (int i = 0; i < 100; ++i) faults.faulted(1, "a", kEccUncorrectable, kSecond);
  EXPECT_TRUE(faults.check(1, "a", kSecond).ok());
}

TEST(TenantFaults, ManyNamesTakeBoundedRoom) {
  TenantFaults faults(1);
  for (size_t i = 0; i < 2 * TenantFaults::kMaxTenants; ++i) {
    for (int n = 0; n < 4; ++n) faults.faulted(1, std::to_string(i), kIllegalAddress, kSecond + i);
  }
  EXPECT_TRUE(faults.check(1, "0", kSecond).ok()) << "the oldest is forgotten";
  EXPECT_FALSE(faults.check(1, std::to_string(2 * TenantFaults::kMaxTenants - 1), kSecond).ok());
}

}  // namespace
}  // namespace tessera::node
