#include "memory/reclaim/fair_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace tessera::memory {
namespace {

using Shares = std::vector<uint64_t>;

TenantMemory tenant(uint64_t min, uint64_t wanted, uint32_t weight = 100) {
  return {.min_bytes = min, .weight = weight, .wanted_bytes = wanted};
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

TEST(FairShares, HoldTheirPromisesForAnyTenants) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 5000; ++round) {
    std::vector<TenantMemory> tenants(1 + random() % 8);
    for (TenantMemory& one : tenants) {
      const uint64_t scale = uint64_t{1} << random() % 45;
      one.wanted_bytes = random() % scale;
      one.min_bytes = random() % 3 == 0 ? random() % scale : 0;
      one.weight = static_cast<uint32_t>(1 + random() % 1000);
    }
    const uint64_t capacity = random() % (uint64_t{1} << random() % 46);
    const Shares shares = fair_shares(tenants, capacity);
    uint64_t all = 0, wanted = 0, minima = 0;
    for (size_t i = 0; i < tenants.size(); ++i) {
      ASSERT_LE(shares[i], tenants[i].wanted_bytes);
      all += shares[i];
      wanted += tenants[i].wanted_bytes;
      minima += std::min(tenants[i].min_bytes, tenants[i].wanted_bytes);
    }
    ASSERT_LE(all, capacity);
    ASSERT_GE(all + 2 * tenants.size(), std::min(wanted, capacity))
        << "nothing is left while somebody wants it";
    for (size_t i = 0; minima <= capacity && i < tenants.size(); ++i)
      ASSERT_GE(shares[i], std::min(tenants[i].min_bytes, tenants[i].wanted_bytes));
  }
}

}  // namespace
}  // namespace tessera::memory
