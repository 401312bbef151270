// Turns on a GPU whose driver cannot stop kernels: what runs at a turn's end is waited for.
#include <gtest/gtest.h>

#include "node/compute_broker_testing.h"

namespace tessera::node::testing {
namespace {

constexpr uint64_t kKernelNs = 100 * kMs;

class UnstoppableTest : public ::testing::Test {
 protected:
  UnstoppableTest() {
    node_.broker.set_unstoppable({0});
    node_.start(1);
    node_.start(2);
    node_.wake(2);
    // Its kernels are seen to be long, in its turn.
    while (node_.state(1) != GateState::kRun) node_.pass(kMs);
    for (int i = 1; i <= 40; ++i) {
      node_.now += kKernelNs;
      busy_ns_ += kKernelNs;
      node_.broker.report(1, 1, 0, {busy_ns_, static_cast<uint64_t>(i), 0, 0}, node_.now);
    }
    node_.busy[1] = busy_ns_;
  }

  Node node_;
  uint64_t busy_ns_ = 0;
};

TEST_F(UnstoppableTest, AKernelIsWaitedForLongerThanAStop) {
  node_.stops = false;
  while (node_.state(1) == GateState::kRun) node_.pass(kMs);
  node_.pass(kStopPatienceNs + kKernelNs);
  EXPECT_EQ(node_.state(2), GateState::kStop);
  GateOrders orders;
  node_.broker.stopped(1, 1, 0, node_.words[1], node_.now, orders);
  EXPECT_EQ(node_.broker.state(2, 0), GateState::kRun);
}

TEST_F(UnstoppableTest, NotForEver) {
  node_.stops = false;
  while (node_.state(1) == GateState::kRun) node_.pass(kMs);
  const uint64_t stopped_at = node_.now;
  while (node_.state(2) != GateState::kRun && node_.now < stopped_at + 2 * kLongestPatienceNs)
    node_.pass(kMs);
  EXPECT_LE(node_.now - stopped_at, kLongestPatienceNs);
}

// It lets the others wait, and says nothing: the time is charged to it, so that the other one has as much.
TEST_F(UnstoppableTest, WhoNeverStopsPaysForTheWaiting) {
  node_.deaf = {1};
  uint64_t others_ns = 0, kept_ns = 0;
  for (int i = 0; i < 20'000; ++i) {
    const bool other = node_.state(2) == GateState::kRun;
    node_.pass(kMs);
    (other ? others_ns : kept_ns) += kMs;
  }
  EXPECT_GE(others_ns * 100, (others_ns + kept_ns) * 45);
}

}  // namespace
}  // namespace tessera::node::testing
