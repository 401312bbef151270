// Who comes first of those that want more of a GPU's memory than is free, and who gives it to them.
#include <algorithm>

#include "node/residency_broker_testing.h"

namespace tessera::node {
namespace {

// Three that load their data at once, and fill the GPU: what the first one needs comes from the last, and who
// has given it does not take it from another in turn.
TEST_F(ResidencyTest, WhoWaitsTakesFromWhoCameLater) {
  for (LeaseId lease = 1; lease <= 3; ++lease) {
    attach(lease);
    reserve(lease, static_cast<uint32_t>(lease), 330);
    now_ns_ += kMs;
  }
  reserve(2, 4, 100);
  reserve(3, 5, 100);
  EXPECT_TRUE(effects_.recalls.size() == 1 && effects_.recalls[0].lease == 3);
  ASSERT_TRUE(recalled(effects_.recalls[0], 90).ok());
  EXPECT_EQ(answer(2, 4), 100u);
  effects_ = {};
  reserve(1, 6, 20);
  EXPECT_EQ(only_recall().lease, 3u);
  ASSERT_TRUE(recalled(only_recall(), 20).ok());
  EXPECT_EQ(answer(1, 6), 20u);
  EXPECT_FALSE(answer(3, 5)) << "the others work, and their turns are not over";
}

// What it asked for before it had to go is of use to it with all the rest.
TEST_F(ResidencyTest, WhoIsOutGrowsWhenItComesBack) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  now_ns_ += kMs;
  reserve(2, 2, 350);
  reserve(2, 3, 100);  // waits
  reserve(1, 4, 200);
  ASSERT_EQ(only_recall().lease, 2u);
  const uint64_t given = only_recall().bytes;
  ASSERT_TRUE(recalled(only_recall(), given).ok());
  ASSERT_EQ(answer(1, 4), 200u);
  EXPECT_FALSE(answer(2, 3)) << "there is room for that alone, or none";
  effects_ = {};
  broker_.close(1, now_ns_, effects_);
  EXPECT_EQ(answer(2, 3), 100u);
  attach(3);
  reserve(3, 5, 500);  // does not come in between
  EXPECT_FALSE(answer(3, 5));
  bring_back(2, 6, given);
  EXPECT_EQ(answer(2, 6), given);
}

TEST_F(ResidencyTest, ATurnIsNotSpentWaiting) {
  attach(1);
  attach(2);
  attach(3);
  reserve(1, 1, 400);
  now_ns_ += kMs;
  reserve(2, 2, 500);
  reserve(2, 3, 200);  // waits for 1's turn to be over
  reserve(3, 4, 300);
  pass(kEnough);
  ASSERT_EQ(only_recall().lease, 1u);
  const uint64_t given = only_recall().bytes;
  ASSERT_TRUE(recalled(only_recall(), given).ok());
  EXPECT_EQ(answer(2, 3), 200u);
  bring_back(1, 5, given);
  pass(kEnough / 2);
  EXPECT_TRUE(std::none_of(effects_.recalls.begin(), effects_.recalls.end(),
                           [](const RecallOrder& order) { return order.lease == 2; }));
  EXPECT_FALSE(answer(1, 5));
}

// Before anybody's turn is over, those that work give what they do not use, and stay.
TEST_F(ResidencyTest, WhoWorksIsAskedForWhatItDoesNotUse) {
  attach(1);
  attach(2);
  reserve(1, 1, 700);
  reserve(2, 2, 400);
  EXPECT_TRUE(effects_.recalls.empty());
  ASSERT_EQ(effects_.hints.size(), 1u);
  EXPECT_EQ(effects_.hints[0].lease, 1u);
  EXPECT_EQ(effects_.hints[0].number, 0u);
  EXPECT_EQ(effects_.hints[0].bytes, 100u);
  effects_ = {};
  ASSERT_TRUE(broker_.release(1, {0, 60, BudgetKind::kResident}, now_ns_, effects_).ok());
  EXPECT_TRUE(effects_.hints.empty()) << "not again and again";
  EXPECT_FALSE(answer(2, 2));
  ASSERT_TRUE(broker_.release(1, {0, 40, BudgetKind::kResident}, now_ns_, effects_).ok());
  EXPECT_EQ(answer(2, 2), 400u);
  EXPECT_EQ(broker_.evictions(), 0u);
}

// Arrays, graphs' memory and the like cannot leave: who needs that room is told so, and does not wait for
// ever.
TEST_F(ResidencyTest, WhoWaitsForWhatDoesNotMoveIsRefused) {
  broker_.set_round(kSecond);
  attach(1);
  attach(2);
  reserve(1, 1, 900);
  reserve(2, 2, 600);
  const uint64_t begun = now_ns_;
  uint64_t asked = 0;
  while (!answer(2, 2) && now_ns_ < begun + 100 * kSecond) {
    for (const RecallOrder& order : std::exchange(effects_, {}).recalls) {
      ++asked;
      ASSERT_TRUE(recalled(order, 0).ok());
    }
    if (!answer(2, 2)) pass(*broker_.next_deadline_ns() - now_ns_);
  }
  EXPECT_EQ(answer(2, 2), 0u);
  EXPECT_EQ(effects_.answers.at(0).refusal, vgpu::Refusal::kImmovable);
  EXPECT_GE(now_ns_ - begun, kImmovableRounds * kSecond) << "it might have gone";
  EXPECT_GT(asked, 3u);
  EXPECT_EQ(broker_.resident_bytes(2, 0), 0u);
  effects_ = {};
  reserve(2, 3, 100);
  EXPECT_EQ(answer(2, 3), 100u) << "what fits beside it is granted";
}

// A program that is stopped gives nothing, and answers nothing.
TEST_F(ResidencyTest, WhoWaitsForOneThatIsSilentIsRefused) {
  attach(1);
  attach(2);
  reserve(1, 1, 900);
  reserve(2, 2, 600);
  const uint64_t begun = now_ns_;
  while (!answer(2, 2) && now_ns_ < begun + 1000 * kSecond) pass(kSecond);
  EXPECT_EQ(answer(2, 2), 0u);
  EXPECT_GE(now_ns_ - begun, kEvictPatienceNs);
}

TEST_F(ResidencyTest, WhatIsLentIsWaitedForAndNobodyIsAskedInItsPlace) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  broker_.set_lent(0, 400, 400, now_ns_, effects_);
  pass(0);
  reserve(2, 1, 300);
  EXPECT_FALSE(answer(2, 1).has_value());
  EXPECT_TRUE(broker_.is_waited_for(0));
  pass(10 * kSecond);
  EXPECT_TRUE(effects_.recalls.empty());
  broker_.set_lent(0, 200, 200, now_ns_, effects_);
  EXPECT_FALSE(answer(2, 1).has_value()) << "it is not enough yet";
  broker_.set_lent(0, 100, 100, now_ns_, effects_);
  EXPECT_EQ(answer(2, 1), 300u);
  EXPECT_FALSE(broker_.is_waited_for(0));
}

TEST_F(ResidencyTest, WhatIsLentAndDoesNotComeIsNotCountedOn) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  broker_.set_lent(0, 400, 0, now_ns_, effects_);
  pass(10 * kSecond);
  reserve(2, 1, 300);
  EXPECT_EQ(only_recall().lease, 1u) << "then those of the GPU take turns, as ever";
}

TEST(ResidencyBrokerOfSeveral, WhereMemoryIsLentAllProcessesAreAwaitedOnAllGpus) {
  for (const bool lends : {false, true}) {
    ResidencyBroker broker;
    broker.set_capacities({kCapacity, kCapacity});
    if (lends) broker.set_lending();
    const ResidencyBroker::Promise first[] = {{0, 0}}, second[] = {{1, 0}};
    const uint64_t nothing[] = {0};
    Effects effects;
    broker.open(1, 1, first, kSecond);
    broker.open(2, 2, second, kSecond);
    ASSERT_TRUE(broker.attach(2, nothing, kSecond, effects).ok());
    ASSERT_TRUE(broker.reserve(2, 1, {0, 100, 100, BudgetKind::kResident, 0}, kSecond, effects).ok());
    EXPECT_EQ(effects.answers.size(), lends ? 0u : 1u);
    ASSERT_TRUE(broker.attach(1, nothing, kSecond, effects).ok());
    EXPECT_EQ(effects.answers.size(), 1u);
  }
}

}  // namespace
}  // namespace tessera::node
