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
