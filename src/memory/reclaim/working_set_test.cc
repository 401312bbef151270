#include "memory/reclaim/working_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace tessera::memory {
namespace {

constexpr uint64_t kSecond = 1'000'000'000, kWindow = 8 * kSecond;

// Looked at twice a second, from `begin_ns` to `end_ns`.
void watch(WorkingSet& set, uint64_t bytes, uint64_t begin_ns, uint64_t end_ns) {
  for (uint64_t now = begin_ns; now <= end_ns; now += kSecond / 2) set.saw(bytes, bytes, now);
}

TEST(WorkingSet, NothingIsKnownBeforeAWindowHasPassed) {
  WorkingSet set(kWindow);
  EXPECT_EQ(set.need_bytes(), std::nullopt);
  watch(set, 100, kSecond, kSecond + kWindow - 1);
  EXPECT_EQ(set.need_bytes(), std::nullopt);
  set.saw(100, 100, kSecond + kWindow);
  EXPECT_EQ(set.need_bytes(), 100u);
}

TEST(WorkingSet, TheMostOfTheWindowCountsHoweverShortItWas) {
  WorkingSet set(kWindow);
  watch(set, 100, 0, kWindow);
  set.saw(5000, 100, kWindow);  // between two looks
  EXPECT_EQ(set.need_bytes(), 5000u);
  watch(set, 100, kWindow, 2 * kWindow);
  EXPECT_EQ(set.need_bytes(), 5000u);
}

TEST(WorkingSet, WhatIsNeededNoLongerFallsByAndBy) {
  WorkingSet set(kWindow);
  watch(set, 8000, 0, kWindow);
  uint64_t now = kWindow + kSecond / 2;
  watch(set, 1000, now, now + kWindow);
  EXPECT_GT(*set.need_bytes(), 6000u);
  now += kWindow;
  watch(set, 1000, now, now + kWindow);
  EXPECT_LT(*set.need_bytes(), 4000u);
  EXPECT_GT(*set.need_bytes(), 1000u);
  now += kWindow;
  watch(set, 1000, now, now + 2 * kWindow);
  EXPECT_EQ(set.need_bytes(), 1000u) << "and not below what it has";
}

TEST(WorkingSet, AnotherGoesOnWhereOneHasEnded) {
  WorkingSet set(kWindow);
  set.restore(6000);
  EXPECT_EQ(set.need_bytes(), 6000u);
  watch(set, 4000, 0, kSecond / 2);
  EXPECT_EQ(set.need_bytes(), 6000u) << "it had them a moment ago";
  watch(set, 4000, kSecond, 4 * kWindow);
  EXPECT_EQ(set.need_bytes(), 4000u);
}

TEST(WorkingSet, WhatWasNotLookedAtHasNotChanged) {
  WorkingSet set(kWindow);
  set.saw(700, 700, 0);
  set.saw(300, 300, 100 * kWindow);
  EXPECT_EQ(set.need_bytes(), 700u);
  set.saw(300, 300, uint64_t{1} << 62);
  EXPECT_EQ(set.need_bytes(), 300u);
}

// For whatever a program has when: never less than the most of the last window, and never more than there
// was.
TEST(WorkingSet, LiesBetweenTheMostOfTheWindowAndTheMostOfAll) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 dice(seed);
    WorkingSet set(kWindow);
    struct Look {
      uint64_t at_ns, most;
    };
    std::vector<Look> looks;
    uint64_t now = dice() % kWindow, bytes = 0, most_ever = 0;
    for (int i = 0; i < 300; ++i) {
      const uint64_t before = bytes;
      bytes = dice() % 8 == 0 ? dice() % 10'000 : bytes;
      const uint64_t most = std::max({before, bytes, dice() % 16 == 0 ? dice() % 12'000 : 0});
      set.saw(most, bytes, now);
      looks.push_back({now, most});
      most_ever = std::max(most_ever, most);
      uint64_t recent = 0;
      for (const Look& look : looks)
        recent = look.at_ns + kWindow > now ? std::max(recent, look.most) : recent;
      if (const auto need = set.need_bytes()) {
        ASSERT_GE(*need, recent) << "seed " << seed << ", look " << i;
        ASSERT_LE(*need, most_ever) << "seed " << seed << ", look " << i;
      } else {
        ASSERT_LT(now - looks.front().at_ns, kWindow + kWindow / 8) << "seed " << seed;
      }
      now += dice() % (kSecond * 2);
    }
  }
}

}  // namespace
}  // namespace tessera::memory
