#include "node/compute_broker.h"

#include <gtest/gtest.h>

#include <random>

#include "node/compute_broker_testing.h"

namespace tessera::node {
namespace {

using scheduling::PriorityClass;
using testing::kMs;
using testing::Node;
using testing::TenantSpec;
using testing::with_share;
using vgpu::GateState;

TEST(ComputeBroker, WhoIsAloneIsFree) {
  Node node;
  node.start(1);
  EXPECT_EQ(node.state(1), GateState::kFree);
  EXPECT_FALSE(node.broker.next_deadline_ns().has_value());
}

TEST(ComputeBroker, AtMostOneIsFreeAndTheOthersSayWhenTheyHaveWork) {
  Node node;
  node.start(1);
  node.start(2);
  EXPECT_EQ(node.state(1), GateState::kFree);
  EXPECT_EQ(node.state(2), GateState::kAsleep);
  node.wake(2);
  EXPECT_EQ(node.state(1), GateState::kRun) << "it may have work: it is asked";
  EXPECT_EQ(node.state(2), GateState::kStop);
  node.idle(1);
  EXPECT_EQ(node.state(1), GateState::kAsleep);
  EXPECT_EQ(node.state(2), GateState::kFree);
}

TEST(ComputeBroker, SlicesOfOtherGpusAreNoCompetition) {
  Node node;
  node.start(1);
  node.open(2, {}, 1);
  node.attach(2, 2);
  EXPECT_EQ(node.state(1), GateState::kFree);
  EXPECT_EQ(node.state(2), GateState::kFree);
}

TEST(ComputeBroker, SharesAreKept) {
  Node node;
  node.start(1, with_share(250));
  node.start(2, with_share(750));
  node.wake(2);
  node.pass(2'000 * kMs);
  EXPECT_NEAR(node.share(1), 0.25, 0.01);
  EXPECT_EQ(node.broker.entitled_permille(1, 0), 250u);
}

TEST(ComputeBroker, WhatIsGrantedIsTimeInTurnsAndTimeWithTheGateFree) {
  Node node;
  node.start(1, with_share(250));
  node.start(2, with_share(750));
  node.pass(1'000 * kMs);
  EXPECT_EQ(node.broker.granted(1, 0, node.now).free_ns, 1'000 * kMs);
  EXPECT_EQ(node.broker.granted(2, 0, node.now).free_ns, 0u);
  node.wake(2);
  node.pass(1'000 * kMs);
  const ComputeBroker::Granted first = node.broker.granted(1, 0, node.now);
  const ComputeBroker::Granted second = node.broker.granted(2, 0, node.now);
  EXPECT_EQ(first.free_ns, 1'000 * kMs);
  EXPECT_EQ(second.free_ns, 0u);
  EXPECT_EQ(first.turn_ns + second.turn_ns, 1'000 * kMs);
  EXPECT_NEAR(static_cast<double>(second.turn_ns), 750.0 * kMs, 60.0 * kMs);
}

TEST(ComputeBroker, WhoDoesNotStopIsGrantedNoMoreThanThePatience) {
  Node node;
  node.start(1);
  node.start(2);
  node.stops = false;
  node.wake(2);
  node.pass(10'000 * kMs);
  const uint64_t all =
      node.broker.granted(1, 0, node.now).turn_ns + node.broker.granted(2, 0, node.now).turn_ns;
  EXPECT_EQ(all, 10'000 * kMs) << "the other one waits as long";
}

TEST(ComputeBroker, WhatIsUsedAloneIsNotHeldAgainstAnybody) {
  Node node;
  node.start(1, with_share(500));
  node.start(2, with_share(500));
  node.pass(10'000 * kMs);
  node.wake(2);
  node.busy.clear();
  node.busy[1] = node.busy[2] = 0;
  node.pass(500 * kMs);
  EXPECT_NEAR(node.share(1), 0.5, 0.05);
}

TEST(ComputeBroker, ACeilingHoldsWhereNobodyElseIs) {
  Node node;
  TenantSpec spec = with_share(250);
  spec.cap_permille = 250;
  node.start(1, spec);
  EXPECT_EQ(node.state(1), GateState::kRun);
  const uint64_t before = node.now;
  node.pass(4'000 * kMs);
  EXPECT_NEAR(static_cast<double>(node.busy[1]) / static_cast<double>(node.now - before), 0.25, 0.01);
}

TEST(ComputeBroker, AnUrgentSliceRunsAtOnce) {
  Node node;
  TenantSpec urgent;
  urgent.priority = PriorityClass::kHigh;
  node.start(1);
  node.start(2, urgent);
  node.start(3);
  node.wake(3);
  node.pass(50 * kMs);
  node.wake(2);
  EXPECT_EQ(node.state(2), GateState::kRun);
  EXPECT_EQ(node.state(1), GateState::kStop);
  EXPECT_EQ(node.state(3), GateState::kStop);
}

TEST(ComputeBroker, ATurnBeginsWhenTheOneBeforeHasEnded) {
  Node node;
  node.start(1);
  node.start(2);
  node.wake(2);
  node.stops = false;
  while (node.state(1) == GateState::kRun) node.pass(kMs / 10);
  EXPECT_EQ(node.state(2), GateState::kStop) << "the other has not said that it has stopped";
  GateOrders orders;
  node.broker.stopped(1, 1, 0, node.words[1], node.now, orders);
  EXPECT_EQ(node.broker.state(2, 0), GateState::kRun);
}

TEST(ComputeBroker, WhoDoesNotStopIsNotWaitedForForEver) {
  Node node;
  node.start(1);
  node.start(2);
  node.wake(2);
  node.stops = false;
  while (node.state(1) == GateState::kRun) node.pass(kMs / 10);
  node.pass(kStopPatienceNs);
  EXPECT_EQ(node.state(2), GateState::kRun);
}

TEST(ComputeBroker, OnlyTheOrderInForceCanBeAnswered) {
  Node node;
  node.start(1);
  node.start(2);
  node.wake(2);
  const uint32_t stale = node.words[1];
  node.pass(30 * kMs);  // turns have changed
  ASSERT_NE(node.words[1], stale);
  node.idle(1, 1, stale);
  EXPECT_NE(node.state(1), GateState::kAsleep);
}

TEST(ComputeBroker, AnotherProcessOfTheSliceKeepsItsTurn) {
  Node node;
  node.start(1);
  node.attach(1, 101);
  node.start(2);
  node.wake(2);
  node.idle(1, 1, node.words[1]);
  EXPECT_EQ(node.state(1), GateState::kRun);
  node.idle(1, 101, node.words[1]);
  EXPECT_EQ(node.state(1), GateState::kAsleep);
}

// What is launched while the gate is free is told to nobody: the end of one process must not hide it.
TEST(ComputeBroker, AFreeSliceStaysRunnableWhenOneOfItsProcessesEnds) {
  Node node;
  node.start(2);
  node.start(1);
  node.attach(1, 101);
  node.wake(1, 1);
  node.idle(2);
  ASSERT_EQ(node.state(1), GateState::kFree);
  node.detach(1);
  EXPECT_EQ(node.state(1), GateState::kFree) << "process 101 may have launched";
  node.wake(2);
  node.idle(1, 101, node.words[1]);
  EXPECT_EQ(node.state(1), GateState::kAsleep);
  node.wake(1, 101);
  EXPECT_NE(node.state(1), GateState::kAsleep);
}

TEST(ComputeBroker, WhoEndsMakesRoom) {
  Node node;
  node.start(1);
  node.start(2);
  node.wake(2);
  node.detach(1);
  EXPECT_EQ(node.state(2), GateState::kFree);
  node.remove(2);
  node.attach(1, 1);
  EXPECT_EQ(node.state(1), GateState::kFree);
}

TEST(ComputeBroker, MoreThanTheTurnLastedIsNotBelieved) {
  Node node;
  node.start(1);
  node.start(2);
  node.wake(2);
  node.pass(kMs);
  const SliceId running = node.state(1) == GateState::kRun ? 1 : 2;
  node.broker.report(running, running, 0, {UINT64_MAX / 2, 1}, node.now);
  node.busy[running] = UINT64_MAX / 2;  // counts on from there
  const uint64_t other_before = node.busy[3 - running];
  node.pass(400 * kMs);
  EXPECT_LT(node.busy[3 - running] - other_before, 300 * kMs) << "punished for a millisecond, not for ages";
}

TEST(ComputeBroker, WhatIsReportedLateCounts) {
  Node node;
  node.start(1);
  node.start(2);
  node.wake(2);
  const SliceId running = node.state(1) == GateState::kRun ? 1 : 2;
  const uint64_t before = node.broker.used_ns(running, 0);
  node.now += 4 * kMs;
  node.broker.report(running, running, 0, {0, 0}, node.now);  // looked at before the process had published
  node.now += kMs;
  node.broker.report(running, running, 0, {5 * kMs, 5}, node.now);
  EXPECT_EQ(node.broker.used_ns(running, 0) - before, 5 * kMs);
  node.broker.report(running, running, 0, {50 * kMs, 50}, node.now);
  EXPECT_EQ(node.broker.used_ns(running, 0) - before, 5 * kMs) << "and no more than there was";
}

// Where a daemon had come again, the one that it heard of first paid for the time before it was heard of.
TEST(ComputeBroker, WhatRanBeforeItsFirstTurnIsNotCharged) {
  Node node;
  node.start(1);
  node.start(2);
  node.now += 100 * kMs;
  node.broker.report(2, 2, 0, {100 * kMs, 100}, node.now);
  node.wake(2);
  node.pass(400 * kMs);
  EXPECT_NEAR(static_cast<double>(node.busy[2]) / (400 * kMs), 0.5, 0.08);
}

// Random lives of slices: in every state the rules of compute_broker.h hold.
TEST(ComputeBroker, RandomLives) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    Node node;
    std::map<LeaseId, bool> working;  // 1 to 3 processes of each slice: slice, slice + 100, slice + 200
    for (int step = 0; step < 300; ++step) {
      const SliceId slice = 1 + random() % 6;
      const LeaseId lease = slice + random() % 3 * 100;
      const bool exists = node.words.contains(slice);
      switch (random() % 6) {
        case 0:
          if (!exists) {
            TenantSpec spec;
            spec.priority = static_cast<PriorityClass>(random() % scheduling::kPriorityClasses);
            spec.share_permille = random() % 2 * 150;
            spec.cap_permille = random() % 4 == 0 ? 400 : 1000;
            node.start(slice, spec);
            node.attach(slice, slice + 100);
            node.attach(slice, slice + 200);
          }
          break;
        case 1:
          if (exists && random() % 4 == 0) {
            node.remove(slice);
            for (const LeaseId each : {slice, slice + 100, slice + 200}) working.erase(each);
          }
          break;
        case 2:
        case 3:
          if (exists && node.state(slice) == GateState::kAsleep) {
            node.wake(slice, lease);
          }
          // In any other state work begins untold.
          if (exists) working[lease] = true;
          break;
        case 4:
          if (exists && node.state(slice) == GateState::kRun) {
            node.idle(slice, lease, node.words[slice]);
            working[lease] = false;
            // As gates do: whoever finds itself asleep with work says so.
            for (const LeaseId other : {slice, slice + 100, slice + 200}) {
              if (working[other] && node.state(slice) == GateState::kAsleep) node.wake(slice, other);
            }
          }
          break;
        default:
          node.pass(random() % (30 * kMs));
      }
      size_t free = 0, runs = 0, stopped = 0;
      for (const auto& [id, word] : node.words) {
        const GateState state = vgpu::gate_state(word);
        ASSERT_EQ(state, node.broker.state(id, 0)) << "an order was lost; seed " << seed << ", step " << step;
        free += state == GateState::kFree;
        runs += state == GateState::kRun;
        stopped += state == GateState::kStop;
        if (working[id] || working[id + 100] || working[id + 200]) {
          ASSERT_NE(state, GateState::kAsleep) << "work forgotten; seed " << seed;
        }
      }
      ASSERT_LE(free + runs, 1u) << "seed " << seed << ", step " << step;
      ASSERT_TRUE(free == 0 || stopped == 0) << "seed " << seed << ", step " << step;
      // Whoever is stopped has a way on: a turn that ends, or tokens that come.
      if (stopped > 0) {
        ASSERT_TRUE(node.broker.next_deadline_ns().has_value()) << "seed " << seed;
      }
    }
  }
}

// Alone a turn is there at once; beside others the wait is what the gates say.
TEST(ComputeBroker, WaitsAreFromTheWakeToTheTurn) {
  Node node;
  node.start(1);
  node.start(2);
  node.wake(2);  // 1 has its turn, and 2 waits for its end
  EXPECT_EQ(node.state(2), GateState::kStop);
  const uint64_t asked = node.now;
  while (node.state(2) == GateState::kStop) node.pass(kMs);
  const scheduling::WaitHistogram waits = node.broker.waits(2, 0, node.now);
  EXPECT_EQ(waits.count(), 1u);
  EXPECT_LE(waits.quantile(1000), node.now - asked);
  EXPECT_GE(waits.quantile(1000), node.now - asked - kMs);
}

// Requests of a millisecond every 20 ms among slices that take all they get.
scheduling::WaitHistogram waits_of_requests(const TenantSpec& spec, uint32_t* boost) {
  Node node;
  for (SliceId slice = 1; slice <= 4; ++slice) node.start(slice);
  node.start(5, spec);
  for (SliceId slice = 1; slice <= 4; ++slice) node.wake(slice);
  for (int request = 0; request < 500; ++request) {
    node.wake(5);
    while (node.state(5) == GateState::kStop) node.pass(*node.broker.next_deadline_ns() - node.now);
    node.pass(kMs);
    if (node.state(5) == GateState::kRun) node.idle(5);
    node.pass(20 * kMs);
  }
  *boost = node.broker.boost_permille(5, 0);
  return node.broker.waits(5, 0, node.now);
}

TEST(ComputeBroker, ATargetForWaitsIsKept) {
  TenantSpec spec;
  uint32_t boost = 0;
  EXPECT_GT(waits_of_requests(spec, &boost).quantile(990), 3 * kMs) << "without a target";
  spec.target_wait_ns = 3 * kMs;
  EXPECT_LE(waits_of_requests(spec, &boost).quantile(990), 3 * kMs);
  EXPECT_LE(boost, scheduling::QosController::kMostBoost);
}

TEST(ComputeBroker, NewTermsBeginWithTheWeightThatWasSaid) {
  TenantSpec impossible;
  impossible.target_wait_ns = 1;
  Node node;
  node.start(1);
  node.start(2, impossible);
  node.wake(2);
  node.wake(1);
  node.pass(3'000 * kMs);
  EXPECT_GT(node.broker.boost_permille(2, 0), scheduling::kWhole);
  EXPECT_LT(node.broker.boost_permille(1, 0), scheduling::kWhole);
  EXPECT_EQ(node.broker.entitled_permille(2, 0), 500u) << "what it is entitled to is what was said";
  GateOrders orders;
  ASSERT_TRUE(node.broker.update(2, 0, {}, node.now, orders).ok());
  EXPECT_EQ(node.broker.boost_permille(2, 0), scheduling::kWhole);
}

}  // namespace
}  // namespace tessera::node
