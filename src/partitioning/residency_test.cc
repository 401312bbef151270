#include "partitioning/residency.h"

#include <gtest/gtest.h>

namespace tessera::partitioning {
namespace {

constexpr uint64_t kMs = 1'000'000, kGiB = uint64_t{1} << 30;

ResidentTenant tenant(uint64_t resident, uint64_t since_ns, bool out = false) {
  ResidentTenant made;
  made.resident_bytes = resident;
  made.since_ns = since_ns;
  made.out = out;
  return made;
}

TEST(Residence, IsManyTimesAsLongAsItsCopies) {
  // 1 GiB each way at 0.5 ns a byte: 1.07 s of copies.
  const double copies_ns = 2 * 0.5 * static_cast<double>(kGiB);
  EXPECT_NEAR(static_cast<double>(residence_ns(kGiB, 0.5, 2)), 9 * copies_ns, 1e6);
}

TEST(Residence, HasBounds) {
  EXPECT_EQ(residence_ns(0, 0.5, 2), kShortestResidenceNs);
  EXPECT_EQ(residence_ns(100 * kGiB, 0.5, 2), kResidenceRoundNs / 2);
  EXPECT_EQ(residence_ns(100 * kGiB, 0.5, 6), kResidenceRoundNs / 6);
  EXPECT_EQ(residence_ns(100 * kGiB, 0.5, 100'000), kShortestResidenceNs);
}

TEST(Victim, WhoIsOutAlreadyComesFirst) {
  const ResidentTenant tenants[] = {tenant(10, 0), tenant(10, 500 * kMs, true), tenant(10, 100 * kMs)};
  const auto victim = choose_victim(tenants, 100 * kMs, 1000 * kMs);
  ASSERT_TRUE(victim);
  EXPECT_EQ(victim->index, 1u);
}

TEST(Victim, ThenWhoHasBeenThereLongest) {
  const ResidentTenant tenants[] = {tenant(10, 300 * kMs), tenant(10, 100 * kMs), tenant(10, 200 * kMs)};
  const auto victim = choose_victim(tenants, 100 * kMs, 1000 * kMs);
  ASSERT_TRUE(victim);
  EXPECT_EQ(victim->index, 1u);
}

TEST(Victim, NobodyBeforeHisTime) {
  const ResidentTenant tenants[] = {tenant(10, 300 * kMs), tenant(10, 100 * kMs)};
  EXPECT_FALSE(choose_victim(tenants, 1000 * kMs, 1000 * kMs));
  EXPECT_EQ(next_choice_ns(tenants, 1000 * kMs, 1000 * kMs), 1100 * kMs);
  EXPECT_TRUE(choose_victim(tenants, 1000 * kMs, 1100 * kMs));
}

TEST(Victim, NobodyGivesWhatHeCannot) {
  ResidentTenant silent = tenant(10, 0), paused = tenant(10, 0);
  silent.can_be_asked = false;
  paused.not_before_ns = 2000 * kMs;
  const ResidentTenant tenants[] = {silent, paused, tenant(0, 0)};
  EXPECT_FALSE(choose_victim(tenants, 0, 1000 * kMs));
  EXPECT_EQ(next_choice_ns(tenants, 0, 1000 * kMs), 2000 * kMs);
}

}  // namespace
}  // namespace tessera::partitioning
