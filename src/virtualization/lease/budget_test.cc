#include "virtualization/lease/budget.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <random>
#include <vector>

namespace tessera::vgpu {
namespace {

TEST(Budget, ChargesOnlyWhatIsAtHand) {
  Budget budget(100);
  EXPECT_FALSE(budget.charge(1));
  EXPECT_TRUE(budget.charge(0));
  Budget::Claim claim = budget.claim(30);
  EXPECT_EQ(claim.needed, 30u);
  EXPECT_EQ(claim.wanted, 130u);
  budget.settle(claim, 130);
  EXPECT_EQ(budget.used(), 30u);
  EXPECT_TRUE(budget.charge(100));
  EXPECT_FALSE(budget.charge(1));
}

TEST(Budget, WhatIsSetAsideCannotBeTaken) {
  Budget budget(10);
  Budget::Claim first = budget.claim(5);
  budget.settle(first, 15);
  Budget::Claim claim = budget.claim(40);
  EXPECT_EQ(claim.set_aside, 10u);
  EXPECT_EQ(claim.needed, 30u);
  EXPECT_FALSE(budget.charge(1));
  EXPECT_EQ(budget.recall(100), 0u);
  budget.abandon(claim);
  EXPECT_EQ(budget.used(), 5u);
  EXPECT_TRUE(budget.charge(10));
}

TEST(Budget, GivesBackOnlyBeyondTwoChunks) {
  Budget budget(100);
  budget.settle(budget.claim(400), 500);
  EXPECT_EQ(budget.credit(100), 0u);  // 200 at hand
  EXPECT_EQ(budget.credit(1), 101u);  // 201 at hand: all but one chunk goes
  EXPECT_EQ(budget.available(), 100u);
  EXPECT_EQ(budget.granted(), 399u);
}

TEST(Budget, AsksBeyondAnyLimitWithoutOverflow) {
  Budget budget(100);
  Budget::Claim claim = budget.claim(std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(claim.wanted, std::numeric_limits<uint64_t>::max());
  budget.abandon(claim);
  EXPECT_EQ(budget.granted(), 0u);
}

// Several processes of one slice against a daemon's books, in a random order of steps: what is charged never
// exceeds what is granted, what is granted never exceeds the limit, and in the end nothing is lost.
class BudgetProperty : public testing::TestWithParam<uint32_t> {};

TEST_P(BudgetProperty, ChargesStayWithinTheLimitAndNothingIsLost) {
  constexpr uint64_t kLimit = 1000;
  constexpr size_t kProcesses = 4;
  std::mt19937 random(GetParam());
  auto below = [&](uint64_t n) { return std::uniform_int_distribution<uint64_t>(0, n - 1)(random); };
  struct Process {
    Budget budget{0};
    std::vector<uint64_t> live;
    std::optional<Budget::Claim> waiting;
  };
  std::vector<Process> processes;
  for (size_t i = 0; i < kProcesses; ++i) processes.push_back({Budget(below(80)), {}, std::nullopt});
  uint64_t granted = 0;

  for (int step = 0; step < 4000; ++step) {
    Process& process = processes[below(kProcesses)];
    Budget& budget = process.budget;
    uint64_t bytes = 1 + below(400);
    switch (below(4)) {
      case 0:
        if (process.waiting) break;
        if (budget.charge(bytes)) {
          process.live.push_back(bytes);
        } else {
          process.waiting = budget.claim(bytes);
        }
        break;
      case 1: {  // the daemon answers
        if (!process.waiting) break;
        Budget::Claim claim = *process.waiting;
        process.waiting.reset();
        if (granted + claim.needed > kLimit) {
          budget.abandon(claim);
          break;
        }
        uint64_t grant = std::min(kLimit - granted, claim.needed + below(claim.wanted - claim.needed + 1));
        granted += grant;
        budget.settle(claim, grant);
        process.live.push_back(claim.set_aside + claim.needed);
        break;
      }
      case 2: {
        if (process.live.empty()) break;
        size_t index = below(process.live.size());
        granted -= budget.credit(process.live[index]);
        process.live.erase(process.live.begin() + static_cast<ptrdiff_t>(index));
        break;
      }
      default:
        granted -= budget.recall(bytes);
    }
    uint64_t total_granted = 0;
    for (const Process& p : processes) {
      uint64_t live = 0;
      for (uint64_t b : p.live) live += b;
      ASSERT_EQ(p.budget.used(), live);
      ASSERT_LE(p.budget.used(), p.budget.granted());
      ASSERT_LE(p.budget.available(), p.budget.granted());  // no underflow
      total_granted += p.budget.granted();
    }
    ASSERT_EQ(total_granted, granted);
    ASSERT_LE(granted, kLimit);
  }

  for (Process& process : processes) {
    if (process.waiting) process.budget.abandon(*process.waiting);
    for (uint64_t bytes : process.live) granted -= process.budget.credit(bytes);
    EXPECT_EQ(process.budget.used(), 0u);
    granted -= process.budget.recall(kLimit);
  }
  EXPECT_EQ(granted, 0u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, BudgetProperty, testing::Range(0u, 50u));

}  // namespace
}  // namespace tessera::vgpu
