#include "node/round_watch.h"

#include <gtest/gtest.h>

namespace tessera::node {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
const WatchedProcess kProcess{{100, 7}, 0};

TEST(RoundWatch, AProcessIsJudgedOnceItWasWatchedForAWindow) {
  RoundWatch watch;
  watch.mark({{kProcess, {}}}, 10 * kSecond);
  EXPECT_FALSE(watch.judge(kProcess, {}, 10 * kSecond + kSecond / 2, kSecond, kSecond).has_value());
  EXPECT_FALSE(watch.judge({{101, 7}, 0}, {}, 11 * kSecond, kSecond, kSecond).has_value());
  auto verdict = watch.judge(kProcess, {}, 11 * kSecond, kSecond, kSecond);
  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->now, GateStanding::kSuspect);
  EXPECT_TRUE(verdict->over);
}

TEST(RoundWatch, WhatWasReportedSinceTheMarkBeforeTheWindowCounts) {
  RoundWatch watch;
  watch.mark({{kProcess, {1 * kSecond, 2 * kSecond, 3 * kSecond}}}, 10 * kSecond);
  watch.mark({{kProcess, {2 * kSecond, 2 * kSecond, 4 * kSecond}}}, 11 * kSecond);
  watch.mark({{kProcess, {3 * kSecond, 3 * kSecond, 5 * kSecond}}}, 12 * kSecond);
  auto verdict = watch.judge(kProcess, {3 * kSecond, 3 * kSecond, 5 * kSecond}, 12 * kSecond + 1, kSecond, 0);
  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->window.reported_ns, kSecond);
  EXPECT_EQ(verdict->window.free_ns, kSecond);
  EXPECT_EQ(verdict->window.turn_ns, kSecond);
}

TEST(RoundWatch, CountsThatBeginAnewAccuseNobody) {
  RoundWatch watch;
  for (uint64_t at = 10; at < 15; ++at) watch.mark({{kProcess, {at * kSecond, 0, 0}}}, at * kSecond);
  EXPECT_FALSE(watch.judge(kProcess, {kSecond, 0, 0}, 15 * kSecond, kSecond, kSecond).has_value());
  watch.mark({{kProcess, {kSecond, 0, 0}}}, 15 * kSecond);
  EXPECT_FALSE(watch.judge(kProcess, {kSecond, 0, 0}, 15 * kSecond, kSecond, kSecond).has_value());
  EXPECT_TRUE(watch.judge(kProcess, {kSecond, 0, 0}, 16 * kSecond, kSecond, kSecond).has_value());
}

TEST(RoundWatch, WhoIsGoneIsForgotten) {
  RoundWatch watch;
  watch.mark({{kProcess, {}}}, 10 * kSecond);
  for (uint64_t end = 11; end < 13; ++end) watch.judge(kProcess, {}, end * kSecond, kSecond, kSecond);
  EXPECT_TRUE(watch.goes_round(kProcess));
  EXPECT_TRUE(watch.any_goes_round());
  const WatchedProcess next{{100, 8}, 0};  // the same pid
  watch.mark({{next, {}}}, 13 * kSecond);
  EXPECT_FALSE(watch.any_goes_round());
  EXPECT_FALSE(watch.goes_round(next));
}

}  // namespace
}  // namespace tessera::node
