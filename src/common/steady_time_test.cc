#include "common/steady_time.h"

#include <gtest/gtest.h>

#include <random>

namespace tessera {
namespace {

constexpr uint64_t kSecond = 1'000'000'000, kHour = 3600 * kSecond;

TEST(SteadyTime, IsTheClockWhileThatDoesNotJump) {
  SteadyTime time;
  EXPECT_EQ(time.read(5 * kSecond), 5 * kSecond);
  time.expect(6 * kSecond);
  EXPECT_EQ(time.read(6 * kSecond + 1), 6 * kSecond + 1);
  time.expect(UINT64_MAX);
  EXPECT_EQ(time.read(9 * kHour), 9 * kHour) << "nobody waited for anything";
}

TEST(SteadyTime, GoesOnAtOnceWhereTheClockWasSetBack) {
  SteadyTime time;
  time.read(10 * kHour);
  EXPECT_EQ(time.read(2 * kHour), 10 * kHour);
  EXPECT_EQ(time.read(2 * kHour + 7), 10 * kHour + 7);
}

TEST(SteadyTime, ALeapCountsAsNoMoreThanBeingLate) {
  SteadyTime time;
  time.read(kHour);
  time.expect(kHour + 2 * kSecond);
  EXPECT_EQ(time.read(5 * kHour), kHour + 2 * kSecond + SteadyTime::kMostLateNs);
  EXPECT_EQ(time.read(5 * kHour + 3), kHour + 2 * kSecond + SteadyTime::kMostLateNs + 3);
  time.expect(kHour);  // long due
  EXPECT_EQ(time.read(9 * kHour), kHour + 2 * kSecond + 2 * SteadyTime::kMostLateNs + 3);
}

TEST(SteadyTime, AReadingOfSomebodyElseIsPutInItsPlace) {
  SteadyTime time;
  time.read(10 * kHour);
  time.read(kHour);  // set back
  EXPECT_EQ(time.read(kHour + 5 * kSecond), 10 * kHour + 5 * kSecond);
  EXPECT_EQ(time.when(kHour + 3 * kSecond), 10 * kHour + 3 * kSecond);
  EXPECT_EQ(time.when(kHour + 9 * kSecond), 10 * kHour + 5 * kSecond) << "never ahead";
  EXPECT_EQ(time.when(0), 9 * kHour);
}

// Whatever the clock says: never back, and never more than what could be missed.
TEST(SteadyTime, HoldsForAnyReadings) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    std::mt19937_64 random(seed);
    SteadyTime time;
    uint64_t now = time.read(random());
    for (int i = 0; i < 1000; ++i) {
      const uint64_t due = now + random() % kSecond;
      if (due < now) break;  // after 500 years
      time.expect(due);
      const uint64_t next = time.read(random());
      ASSERT_GE(next, now);
      ASSERT_LE(next, due + SteadyTime::kMostLateNs);
      now = next;
    }
  }
}

}  // namespace
}  // namespace tessera
