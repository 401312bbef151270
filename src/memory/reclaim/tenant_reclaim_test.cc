#include "memory/reclaim/tenant_reclaim.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace tessera::memory {
namespace {

using Shares = std::vector<uint64_t>;

TenantMemory tenant(uint64_t min, uint64_t wanted, uint32_t weight = 100) {
  return {.min_bytes = min, .weight = weight, .resident_bytes = wanted, .wanted_bytes = wanted};
}

TEST(FairShares, GiveMinimaFirstAndTheRestByWeight) {
  EXPECT_EQ(fair_shares(std::vector{tenant(0, 600), tenant(0, 600)}, 1000), (Shares{500, 500}));
  EXPECT_EQ(fair_shares(std::vector{tenant(0, 900, 100), tenant(0, 900, 300)}, 1000), (Shares{250, 750}));
  EXPECT_EQ(fair_shares(std::vector{tenant(700, 900), tenant(0, 900)}, 1000), (Shares{850, 150}));
  EXPECT_EQ(fair_shares(std::vector{tenant(700, 100), tenant(0, 900)}, 1000), (Shares{100, 900}))
      << "what a minimum does not use is the others'";
  EXPECT_EQ(fair_shares(std::vector{tenant(900, 900), tenant(600, 900)}, 1000), (Shares{600, 400}))
      << "more was promised than there is";
}

TEST(FairShares, NobodyGetsMoreThanItsLimit) {
  TenantMemory small = tenant(0, 900);
  small.limit_bytes = 100;
  EXPECT_EQ(fair_shares(std::vector{small, tenant(0, 2000)}, 1000), (Shares{100, 900}));
}

TEST(PlanReclaim, TakesFromThoseFurthestAboveTheirShares) {
  // Shares of 500 each: one has 700, one 300 of what it wants.
  std::vector<TenantMemory> tenants = {tenant(0, 700), tenant(0, 700)};
  tenants[1].resident_bytes = 300;
  EXPECT_EQ(plan_reclaim(tenants, 1000, 150), (Shares{150, 0}));
  EXPECT_EQ(plan_reclaim(tenants, 1000, 0), (Shares{0, 0}));
}

TEST(PlanReclaim, AMinimumIsNeverTaken) {
  const std::vector<TenantMemory> tenants = {tenant(500, 500), tenant(0, 500, 10)};
  EXPECT_EQ(plan_reclaim(tenants, 1000, 800), (Shares{0, 500}));
}

TEST(PlanReclaim, WhatCannotGoStays) {
  std::vector<TenantMemory> tenants = {tenant(0, 600), tenant(0, 600)};
  tenants[0].fixed_bytes = 550;
  const Shares plan = plan_reclaim(tenants, 400, 1200);
  EXPECT_EQ(plan, (Shares{50, 600}));
}

TEST(PlanReclaim, HoldsItsPromisesForAnyTenants) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 5000; ++round) {
    std::vector<TenantMemory> tenants(1 + random() % 8);
    for (TenantMemory& one : tenants) {
      const uint64_t scale = uint64_t{1} << random() % 45;
      one.wanted_bytes = random() % scale;
      one.min_bytes = random() % 3 == 0 ? random() % scale : 0;
      one.limit_bytes = random() % 3 == 0 ? random() % scale : ~uint64_t{0};
      one.weight = static_cast<uint32_t>(random() % 1000);
      one.resident_bytes = random() % (one.wanted_bytes + 1);
      one.fixed_bytes = random() % 4 == 0 ? random() % (one.resident_bytes + 1) : 0;
    }
    const uint64_t capacity = random() % (uint64_t{1} << random() % 46), needed = random() % (capacity + 1);
    const Shares shares = fair_shares(tenants, capacity);
    ASSERT_LE(std::accumulate(shares.begin(), shares.end(), uint64_t{0}), capacity);
    const Shares plan = plan_reclaim(tenants, capacity, needed);
    uint64_t planned = 0, possible = 0;
    for (size_t i = 0; i < tenants.size(); ++i) {
      const TenantMemory& one = tenants[i];
      ASSERT_LE(shares[i], std::min(one.wanted_bytes, one.limit_bytes));
      ASSERT_LE(plan[i], one.resident_bytes - one.fixed_bytes);
      planned += plan[i];
      const uint64_t kept = std::max(one.min_bytes, one.fixed_bytes);
      possible += one.resident_bytes > kept ? one.resident_bytes - kept : 0;
      ASSERT_TRUE(plan[i] == 0 || one.resident_bytes - plan[i] >= std::min(one.min_bytes, shares[i]));
    }
    ASSERT_GE(planned, std::min(needed, possible));
    ASSERT_LE(planned, needed + tenants.size()) << "a byte each is rounding";
  }
}

}  // namespace
}  // namespace tessera::memory
