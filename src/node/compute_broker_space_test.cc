// Slices in space: SMs of their own, lent while they idle.
#include <gtest/gtest.h>

#include "node/compute_broker_testing.h"

namespace tessera::node {
namespace {

using testing::kMs;
using testing::Node;
using testing::TenantSpec;
using testing::with_share;
using vgpu::GateState;

struct Gpu8 : Node {
  Gpu8() { broker.set_gpu_sms({8}); }
};

TenantSpec capped(uint32_t permille) {
  TenantSpec spec = with_share(permille);
  spec.cap_permille = permille;
  return spec;
}

TEST(ComputeBrokerSpace, SlicesWithSmsOfTheirOwnRunSideBySide) {
  Gpu8 node;
  node.start(1, with_share(250), "0-1");
  node.start(2, with_share(500), "2-5");
  node.start(3);
  node.wake(2);
  node.wake(3);
  for (SliceId slice : {1, 2, 3}) EXPECT_EQ(node.state(slice), GateState::kRun) << slice;
  EXPECT_EQ(node.sms[1], "0-1");
  EXPECT_EQ(node.sms[2], "2-5");
  EXPECT_EQ(node.sms[3], "6-7");
  const auto words = node.words;
  node.pass(500 * kMs);
  EXPECT_EQ(node.words, words) << "nobody is in anybody's way, so there is nothing to order";
  EXPECT_NEAR(static_cast<double>(node.broker.used_ns(1, 0)) / (500 * kMs), 0.25, 0.02);
  EXPECT_NEAR(static_cast<double>(node.broker.used_ns(2, 0)) / (500 * kMs), 0.5, 0.02);
}

TEST(ComputeBrokerSpace, ThoseInTimeTakeTurnsOnTheRest) {
  Gpu8 node;
  node.start(1, with_share(500), "0-3");
  node.start(2, with_share(375));
  node.start(3, with_share(125));
  node.wake(2);
  node.wake(3);
  EXPECT_EQ(node.state(1), GateState::kRun);
  EXPECT_NE(node.state(2), node.state(3)) << "one of the two has its turn";
  node.pass(4'000 * kMs);
  EXPECT_NEAR(static_cast<double>(node.broker.used_ns(1, 0)) / (4'000 * kMs), 0.5, 0.01);
  EXPECT_NEAR(static_cast<double>(node.broker.used_ns(2, 0)) / (4'000 * kMs), 0.375, 0.02);
  EXPECT_NEAR(static_cast<double>(node.broker.used_ns(3, 0)) / (4'000 * kMs), 0.125, 0.02);
}

TEST(ComputeBrokerSpace, WhereSmsAreKeptNothingIsLent) {
  Gpu8 node;
  node.broker.set_unstoppable({0});
  node.broker.set_unlendable({0});
  node.start(1, with_share(250), "0-1");
  node.start(2);
  node.wake(2);
  const auto sms = node.sms;
  node.idle(1);
  node.pass(100 * kMs);
  EXPECT_EQ(node.sms, sms);
  EXPECT_EQ(node.sms[2], "2-7");
  node.wake(1);
  EXPECT_EQ(node.state(1), GateState::kRun);
  EXPECT_EQ(node.sms, sms);
}

TEST(ComputeBrokerSpace, WhatIdlesIsLentAndTakenBackAtOnce) {
  Gpu8 node;
  node.start(1, with_share(250), "0-1");
  node.start(2);
  node.wake(2);
  EXPECT_EQ(node.sms[2], "2-7");
  node.idle(1);
  EXPECT_EQ(node.sms[2], "2-7") << "it may have work again in a moment";
  node.pass(kLendAfterNs);
  EXPECT_EQ(node.sms[2], "0-7");
  node.wake(1);
  EXPECT_EQ(node.sms[2], "2-7");
  EXPECT_EQ(node.sms[1], "0-1");
  EXPECT_EQ(node.state(1), GateState::kRun);
  EXPECT_EQ(node.state(2), GateState::kRun);
}

TEST(ComputeBrokerSpace, WhoIsAloneHasTheWholeGpuUnlessACeilingKeepsIt) {
  Gpu8 node;
  node.start(1, with_share(250), "0-1");
  EXPECT_EQ(node.sms[1], "0-7");
  EXPECT_EQ(node.state(1), GateState::kFree);
  Gpu8 other;
  other.start(1, capped(250), "0-1");
  EXPECT_EQ(other.sms[1], "0-1");
  other.pass(1'000 * kMs);
  EXPECT_NEAR(static_cast<double>(other.broker.used_ns(1, 0)) / (1'000 * kMs), 0.25, 0.01);
}

TEST(ComputeBrokerSpace, ACeilingBelowItsSmsHoldsInTime) {
  Gpu8 node;
  node.start(1, capped(200), "0-1");
  node.pass(4'000 * kMs);
  EXPECT_NEAR(static_cast<double>(node.broker.used_ns(1, 0)) / (4'000 * kMs), 0.2, 0.01);
}

TEST(ComputeBrokerSpace, AnUrgentSliceInTimeLeavesThemAlone) {
  Gpu8 node;
  TenantSpec urgent;
  urgent.priority = scheduling::PriorityClass::kRealtime;
  node.start(1, with_share(250), "0-1");
  node.start(2);
  node.start(3, urgent);
  node.wake(2);
  node.wake(3);
  EXPECT_EQ(node.state(1), GateState::kRun);
  EXPECT_EQ(node.state(2), GateState::kStop);
  EXPECT_EQ(node.state(3), GateState::kRun);
}

TEST(ComputeBrokerSpace, ASliceMovesBetweenTimeAndSpaceAndGrows) {
  Gpu8 node;
  node.start(1, with_share(250));
  node.start(2);
  node.wake(2);
  auto change = [&](const char* sms) {
    SliceDevice part;
    part.compute = with_share(250);
    if (*sms != '\0') part.sms = *IndexSet::parse(sms);
    node.change(1, part);
  };
  EXPECT_TRUE(node.state(1) == GateState::kStop || node.state(2) == GateState::kStop);
  change("0-1");
  node.pass(kMs);
  EXPECT_EQ(node.sms[1], "0-1");
  EXPECT_EQ(node.sms[2], "2-7");
  EXPECT_EQ(node.state(1), GateState::kRun);
  EXPECT_EQ(node.state(2), GateState::kRun);
  change("0-4");
  EXPECT_EQ(node.sms[1], "0-4");
  EXPECT_EQ(node.sms[2], "5-7");
  change("");
  EXPECT_TRUE(node.state(1) == GateState::kStop || node.state(2) == GateState::kStop);
  node.remove(1);
  EXPECT_EQ(node.sms[2], "0-7");
}

}  // namespace
}  // namespace tessera::node
