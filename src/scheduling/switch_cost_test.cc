#include "scheduling/switch_cost.h"

#include <gtest/gtest.h>

namespace tessera::scheduling {
namespace {

constexpr Nanoseconds kGuess = 120 * kMicrosecond;
constexpr Nanoseconds kTurn = 10 * kMillisecond;

TEST(SwitchCost, IsAGuessUntilEnoughIsSeen) {
  SwitchCost cost(kGuess);
  for (size_t i = 0; i + 1 < SwitchCost::kAnew; ++i) EXPECT_FALSE(cost.add_turn(kTurn, 0));
  EXPECT_EQ(cost.cost_ns(), kGuess);
  EXPECT_FALSE(cost.measured());
}

TEST(SwitchCost, IsWhatTurnsLose) {
  SwitchCost cost(kGuess);
  bool changed = false;
  for (size_t i = 0; i < SwitchCost::kAnew; ++i) changed = cost.add_turn(kTurn, kTurn - 80 * kMicrosecond);
  EXPECT_TRUE(changed);
  EXPECT_TRUE(cost.measured());
  EXPECT_EQ(cost.cost_ns(), 80 * kMicrosecond);
}

TEST(SwitchCost, TurnsWithGapsOfTheirOwnDoNotCount) {
  SwitchCost cost(kGuess);
  for (size_t i = 0; i < 2 * SwitchCost::kTurns; ++i) {
    const bool gaps = i % 3 != 0;
    cost.add_turn(kTurn, gaps ? kTurn / 2 : kTurn - 80 * kMicrosecond);
  }
  EXPECT_EQ(cost.cost_ns(), 80 * kMicrosecond);
}

TEST(SwitchCost, FollowsAMachineThatChanges) {
  SwitchCost cost(kGuess);
  for (size_t i = 0; i < SwitchCost::kTurns; ++i) cost.add_turn(kTurn, kTurn - 80 * kMicrosecond);
  for (size_t i = 0; i < SwitchCost::kTurns; ++i) cost.add_turn(kTurn, kTurn - 160 * kMicrosecond);
  EXPECT_EQ(cost.cost_ns(), 160 * kMicrosecond);
}

TEST(SwitchCost, StaysWithinBounds) {
  SwitchCost cost(kGuess);
  for (size_t i = 0; i < SwitchCost::kTurns; ++i) cost.add_turn(kTurn, 0);
  EXPECT_EQ(cost.cost_ns(), SwitchCost::kMostNs);
  for (size_t i = 0; i < SwitchCost::kTurns; ++i) cost.add_turn(kTurn, 2 * kTurn);
  EXPECT_EQ(cost.cost_ns(), SwitchCost::kLeastNs) << "more than there was is no gain";
}

}  // namespace
}  // namespace tessera::scheduling
