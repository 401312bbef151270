// Slices that run side by side, and those that do not.
#include <gtest/gtest.h>

#include "node/compute_broker_testing.h"

namespace tessera::node {
namespace {

using testing::kMs;
using testing::Node;
using testing::with_share;
using vgpu::GateState;

constexpr SliceId kA = 1, kB = 2, kC = 3;
constexpr uint64_t kKnown = 200 * kMs;  // by then every one of a few has been measured in its turns

class ComputeCompanyTest : public ::testing::Test {
 protected:
  ComputeCompanyTest() { node_.broker.set_gpu_sms({8}); }
  // With work, that wants so many SMs.
  void start(SliceId slice, uint32_t sms, partitioning::ComputeSpec spec = {}) {
    node_.wants[slice] = sms;
    node_.start(slice, spec);
    node_.wake(slice);
  }
  uint64_t times(SliceId slice) const { return node_.broker.company(slice, 0).times; }
  bool together(SliceId a, SliceId b) const {
    return node_.state(a) == GateState::kRun && node_.state(b) == GateState::kRun;
  }
  IndexSet sms(SliceId slice) { return *IndexSet::parse(node_.sms[slice]); }
  // GPU time that it had in the last while, as a part of it.
  double part(SliceId slice, uint64_t ns) {
    const uint64_t before = node_.busy[slice];
    node_.pass(ns);
    return static_cast<double>(node_.busy[slice] - before) / static_cast<double>(ns);
  }

  Node node_;
};

TEST_F(ComputeCompanyTest, NarrowSlicesRunSideBySideOnSmsOfTheirOwn) {
  start(kA, 1);
  start(kB, 2);
  node_.pass(kKnown);
  EXPECT_TRUE(together(kA, kB));
  EXPECT_EQ(times(kA), 1u);
  EXPECT_EQ(times(kB), 1u);
  EXPECT_EQ(sms(kA).count(), 1u);
  EXPECT_EQ(sms(kB).count(), 3u) << "with a quarter to spare";
  EXPECT_FALSE(sms(kA).intersects(sms(kB)));
  EXPECT_NEAR(part(kA, 500 * kMs), 1, 0.001);
  EXPECT_TRUE(together(kA, kB));
  EXPECT_EQ(times(kA), 1u) << "all the while";
}

TEST_F(ComputeCompanyTest, WideSlicesNeverDo) {
  start(kA, 8);
  start(kB, 8);
  node_.pass(1'000 * kMs);
  EXPECT_EQ(times(kA) + times(kB), 0u);
  EXPECT_NEAR(node_.share(kA), 0.5, 0.02);
}

TEST_F(ComputeCompanyTest, NorDoThoseThatDoNotFitTogether) {
  start(kA, 4);
  start(kB, 3);  // 5 and 4, with what they need to spare
  node_.pass(1'000 * kMs);
  EXPECT_EQ(times(kA) + times(kB), 0u);
}

TEST_F(ComputeCompanyTest, WhatIsNotMeasuredFillsTheGpu) {
  start(kA, 0);
  start(kB, 1);
  node_.pass(1'000 * kMs);
  EXPECT_EQ(times(kA) + times(kB), 0u);
}

TEST_F(ComputeCompanyTest, ItCanBeTurnedOff) {
  node_.broker.set_co_execution(false);
  start(kA, 1);
  start(kB, 1);
  node_.pass(1'000 * kMs);
  EXPECT_EQ(times(kA) + times(kB), 0u);
  EXPECT_EQ(node_.broker.company(kA, 0).width_sms, 0u);
}

TEST_F(ComputeCompanyTest, WhoIsIsolatedHasItsTurnsAlone) {
  start(kA, 1);
  start(kB, 1);
  start(kC, 1);
  node_.pass(kKnown);
  ASSERT_TRUE(together(kA, kB));
  node_.isolate(kA, true);
  const uint64_t before = times(kA);
  for (int i = 0; i < 1'000; ++i) {
    node_.pass(kMs);
    ASSERT_FALSE(together(kA, kB) || together(kA, kC));
  }
  EXPECT_EQ(times(kA), before);
  EXPECT_GT(times(kB), 1u) << "the others still do";
  EXPECT_GT(part(kA, 2'000 * kMs), 0.33) << "it has at least what turns give it";
  node_.isolate(kA, false);
  node_.pass(kKnown);
  EXPECT_TRUE(together(kA, kB));
}

TEST_F(ComputeCompanyTest, WithoutTheirNumberThereAreNoSmsToPart) {
  node_.broker.set_gpu_sms({});
  start(kA, 1);
  start(kB, 1);
  node_.pass(1'000 * kMs);
  EXPECT_EQ(times(kA) + times(kB), 0u);
}

TEST_F(ComputeCompanyTest, AloneItHasTheWholeGpuAgain) {
  start(kA, 1);
  start(kB, 1);
  node_.pass(kKnown);
  ASSERT_TRUE(together(kA, kB));
  node_.idle(kB);
  EXPECT_EQ(sms(kA).count(), 1u) << "the other may be back at once";
  node_.pass(kLendAfterNs);
  EXPECT_EQ(sms(kA).count(), 8u);
  EXPECT_EQ(node_.state(kA), GateState::kFree);
  node_.wake(kB);
  EXPECT_TRUE(together(kA, kB));
  EXPECT_FALSE(sms(kA).intersects(sms(kB)));
}

// With somebody who needs the whole GPU they still have their turns together, and it loses nothing.
TEST_F(ComputeCompanyTest, WhoDoesNotFitHasAtLeastWhatTurnsWouldGiveIt) {
  start(kA, 1);
  start(kB, 1);
  start(kC, 8);
  node_.pass(kKnown);
  EXPECT_NEAR(part(kC, 2'000 * kMs), 0.5, 0.03) << "a third, in turns";
  EXPECT_GT(part(kA, 1'000 * kMs), 0.45);
  EXPECT_GT(times(kA), 1u);
}

TEST_F(ComputeCompanyTest, PromisedSharesHold) {
  start(kA, 1);
  start(kB, 1);
  start(kC, 8, with_share(600));
  node_.pass(kKnown);
  EXPECT_GT(part(kC, 2'000 * kMs), 0.58);
}

TEST_F(ComputeCompanyTest, CeilingsHold) {
  partitioning::ComputeSpec capped = with_share(250);
  capped.cap_permille = 250;
  start(kA, 1, capped);
  start(kB, 1);
  node_.pass(kKnown);
  EXPECT_NEAR(part(kA, 2'000 * kMs), 0.25, 0.02);
  EXPECT_GT(times(kA), 1u);
}

// It has what it says that it needs, and not more beside others.
TEST_F(ComputeCompanyTest, WhoSaysThatItIsNarrowIsKeptToIt) {
  start(kA, 1);
  start(kB, 1);
  node_.pass(kKnown);
  ASSERT_TRUE(together(kA, kB));
  node_.wants[kA] = 8;
  node_.pass(100 * kMs);
  EXPECT_FALSE(together(kA, kB)) << "its driver says that more is ready";
  const uint64_t before = times(kA);
  node_.pass(1'000 * kMs);
  EXPECT_EQ(times(kA), before);
  EXPECT_NEAR(part(kB, 1'000 * kMs), 0.5, 0.02);
}

TEST_F(ComputeCompanyTest, ThoseThatHurtEachOtherGoBackToTurns) {
  start(kA, 1);
  start(kB, 1);
  node_.hurt_permille = {{kA, 300}, {kB, 300}};
  node_.pass(2'000 * kMs);
  EXPECT_GE(times(kA), 1u);
  const uint64_t before = times(kA);
  const uint64_t busy = node_.busy[kA] + node_.busy[kB];
  node_.pass(20'000 * kMs);
  EXPECT_LE(times(kA), before + 4) << "after 1, 2, 4, 8 and 16 s";
  EXPECT_LT(node_.busy[kA] + node_.busy[kB] - busy, 20'500 * kMs) << "in turns nearly all the time";
}

TEST_F(ComputeCompanyTest, ManyNarrowSlicesArePacked) {
  for (SliceId slice = 1; slice <= 12; ++slice) start(slice, 1);
  node_.pass(2'000 * kMs);
  IndexSet taken;
  uint32_t running = 0;
  for (SliceId slice = 1; slice <= 12; ++slice) {
    if (node_.state(slice) != GateState::kRun) continue;
    EXPECT_FALSE(taken.intersects(sms(slice)));
    taken |= sms(slice);
    ++running;
  }
  EXPECT_EQ(running, 8u);
  for (SliceId slice = 1; slice <= 12; ++slice) EXPECT_NEAR(part(slice, 3'000 * kMs), 8.0 / 12, 0.1);
}

TEST_F(ComputeCompanyTest, ProcessesOfASliceAreAsWideAsTheyAreTogether) {
  start(kA, 1);
  node_.attach(kA, kA + 100);
  start(kB, 1);
  node_.wake(kA, kA + 100);
  node_.pass(kKnown);
  EXPECT_EQ(node_.broker.company(kA, 0).width_sms, 3u) << "two, with a quarter to spare";
}

// However seldom it is heard: here it has had all eight SMs until a moment ago, and has one now.
TEST_F(ComputeCompanyTest, WhatItUsedIsBySmsItHad) {
  start(kA, 1);
  start(kB, 1);
  node_.pass(kKnown);
  node_.idle(kB);
  node_.pass(10 * kMs);
  ASSERT_EQ(sms(kA).count(), 8u);
  const uint64_t before = node_.broker.used_ns(kA, 0);
  ComputeFigures figures{node_.busy[kA], 0, 0, 0};
  node_.broker.report(kA, kA, 0, figures, node_.now);
  node_.now += 100 * kMs;
  node_.wake(kB);
  ASSERT_EQ(sms(kA).count(), 1u);
  node_.now += 100 * kMs;
  figures.busy_ns += 200 * kMs;
  node_.broker.report(kA, kA, 0, figures, node_.now);
  EXPECT_EQ(node_.broker.used_ns(kA, 0) - before, 100 * kMs + 100 * kMs / 8);
}

TEST_F(ComputeCompanyTest, NobodyRunsOnSmsThatOthersHaveNotLeft) {
  start(kA, 1);
  start(kB, 1);
  start(kC, 8);
  node_.pass(kKnown);
  node_.stops = false;
  for (int i = 0; i < 2'000; ++i) {
    node_.pass(kMs / 4);
    if (node_.state(kC) == GateState::kRun) {
      EXPECT_NE(node_.state(kA), GateState::kRun);
      EXPECT_NE(node_.state(kB), GateState::kRun);
    }
  }
}

}  // namespace
}  // namespace tessera::node
