// Turns that processes end by themselves, as they know how long these are.
#include <gtest/gtest.h>

#include "node/compute_broker_testing.h"

namespace tessera::node::testing {
namespace {

// Two slices with work, and the turn is the first one's.
class OwnEndTest : public ::testing::Test {
 protected:
  OwnEndTest() {
    node_.start(1);
    node_.start(2);
    node_.wake(2);
    node_.stops = false;
  }
  // Its turn goes by, and nobody has said anything yet.
  void let_it_be_up() { node_.now = node_.ends.at(1); }

  Node node_;
};

TEST_F(OwnEndTest, ATurnSaysHowLongItIs) {
  ASSERT_EQ(node_.state(1), GateState::kRun);
  EXPECT_GT(node_.ends.at(1), node_.now);
  EXPECT_EQ(node_.ends.at(2), scheduling::kNever) << "it has none";
}

TEST_F(OwnEndTest, TheDaemonLooksALittleLater) {
  EXPECT_EQ(node_.broker.next_deadline_ns(), node_.ends.at(1) + kOwnEndPatienceNs);
}

TEST_F(OwnEndTest, WhoHasEndedItsTurnIsNotWokenToBeTold) {
  let_it_be_up();
  node_.stopped(1, 1, node_.words.at(1));
  EXPECT_EQ(node_.state(1), GateState::kStop);
  EXPECT_FALSE(node_.woken.at(1));
  EXPECT_EQ(node_.state(2), GateState::kRun) << "at once: nothing runs any more";
  EXPECT_TRUE(node_.woken.at(2));
}

TEST_F(OwnEndTest, WhoDoesNotIsTold) {
  let_it_be_up();
  node_.now += kOwnEndPatienceNs;
  node_.decide();
  EXPECT_EQ(node_.state(1), GateState::kStop);
  EXPECT_TRUE(node_.woken.at(1));
  EXPECT_EQ(node_.state(2), GateState::kStop) << "it is waited for";
}

TEST_F(OwnEndTest, AnEndThatCrossesTheOrderToStopAnswersIt) {
  let_it_be_up();
  const uint32_t word = node_.words.at(1);
  node_.now += kOwnEndPatienceNs;
  node_.decide();
  node_.stopped(1, 1, word);
  EXPECT_EQ(node_.state(2), GateState::kRun);
}

TEST_F(OwnEndTest, OtherProcessesOfTheSliceAreWaitedFor) {
  node_.attach(1, 101);
  node_.wake(1, 101);
  let_it_be_up();
  const uint32_t word = node_.words.at(1);
  node_.stopped(1, 1, word);
  EXPECT_EQ(node_.state(1), GateState::kStop);
  EXPECT_TRUE(node_.woken.at(1)) << "the other one may not have noticed";
  EXPECT_EQ(node_.state(2), GateState::kStop);
  node_.stopped(1, 101, word);
  EXPECT_EQ(node_.state(2), GateState::kRun);
}

TEST_F(OwnEndTest, WhoStopsBeforeItsTurnIsUpIsToldToGoOn) {
  const uint32_t word = node_.words.at(1);
  node_.stopped(1, 1, word);
  EXPECT_EQ(node_.state(1), GateState::kRun);
  EXPECT_NE(node_.words.at(1), word) << "or it would wait for an order that never comes";
  EXPECT_TRUE(node_.woken.at(1));
  EXPECT_EQ(node_.ends.at(1), node_.broker.next_deadline_ns().value_or(0) - kOwnEndPatienceNs);
}

TEST_F(OwnEndTest, WhoIsGoneIsNotCounted) {
  let_it_be_up();
  const uint32_t word = node_.words.at(1);
  node_.detach(1);
  node_.stopped(1, 1, word);
  EXPECT_EQ(node_.state(1), GateState::kAsleep);
  EXPECT_EQ(node_.state(2), GateState::kFree);
}

TEST_F(OwnEndTest, AStrangersWordEndsNothing) {
  let_it_be_up();
  node_.stopped(1, 77, node_.words.at(1));
  EXPECT_TRUE(node_.woken.at(1)) << "its process has not said that it has stopped";
  EXPECT_EQ(node_.state(2), GateState::kStop);
}

// The turn of `slice` ends; until that is heard, and at its beginning, nothing ran for so long, and in its
// middle it had nothing to run for `gaps_ns`.
void end_turn(Node& node, SliceId slice, uint64_t lost_ns, uint64_t gaps_ns = 0) {
  const uint64_t began_ns = node.now;
  node.now = node.ends.at(slice);
  node.busy[slice] += node.now - began_ns - lost_ns / 2 - gaps_ns;
  node.now += lost_ns / 2;
  const uint64_t ready_ns = node.wants[slice] == 0 ? 0 : node.busy[slice];
  node.broker.report(slice, slice, 0, {node.busy[slice], 0, ready_ns, 0}, node.now);
  node.stopped(slice, slice, node.words.at(slice));
}

TEST_F(OwnEndTest, WhatHandingOverCostsIsSeenInTurns) {
  EXPECT_EQ(node_.broker.switch_ns(0), std::nullopt) << "not yet";
  for (int i = 0; i < 100; ++i) end_turn(node_, node_.state(1) == GateState::kRun ? 1 : 2, 200'000);
  EXPECT_EQ(node_.broker.switch_ns(0), 200'000);
  EXPECT_EQ(node_.broker.switch_ns(1), std::nullopt) << "nobody is there";
}

TEST_F(OwnEndTest, ATenantsOwnGapsAreNotWhatHandingOverCosts) {
  node_.wants = {{1, 1}, {2, 1}};
  const auto take_turns = [&](uint64_t lost_ns, uint64_t gaps_ns) {
    for (int i = 0; i < 100; ++i)
      end_turn(node_, node_.state(1) == GateState::kRun ? 1 : 2, lost_ns, gaps_ns);
  };
  take_turns(200'000, 0);
  take_turns(300'000, 2 * kMs);
  EXPECT_EQ(node_.broker.switch_ns(0), 200'000) << "what was seen before holds";
  take_turns(300'000, 0);
  EXPECT_EQ(node_.broker.switch_ns(0), 300'000);
}

TEST(OwnEnd, WhereKernelsCannotBeStoppedTheDaemonSaysWhen) {
  Node node;
  node.broker.set_unstoppable({0});
  node.start(1);
  node.start(2);
  node.wake(2);
  ASSERT_EQ(node.state(1), GateState::kRun);
  EXPECT_EQ(node.ends.at(1), scheduling::kNever);
}

}  // namespace
}  // namespace tessera::node::testing
