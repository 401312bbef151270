#include "node/residency_broker_testing.h"

namespace tessera::node {
namespace {

TEST_F(ResidencyTest, WhatFitsIsGrantedAtOnce) {
  attach(1);
  reserve(1, 7, 600);
  EXPECT_EQ(answer(1, 7), 600u);
  EXPECT_EQ(broker_.resident_bytes(1, 0), 600u);
}

TEST_F(ResidencyTest, OthersMakeRoomOnceTheirTimeIsUp) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  reserve(2, 2, 600);
  EXPECT_FALSE(answer(2, 2));
  EXPECT_TRUE(effects_.recalls.empty()) << "the first one has just come";
  ASSERT_TRUE(broker_.next_deadline_ns());
  pass(*broker_.next_deadline_ns() - now_ns_);
  const RecallOrder order = only_recall();
  EXPECT_EQ(order.lease, 1u);
  EXPECT_EQ(order.bytes, 200u);
  EXPECT_EQ(order.kind, BudgetKind::kResident);
  ASSERT_TRUE(recalled(order, 200).ok());
  EXPECT_EQ(answer(2, 2), 600u);
  EXPECT_EQ(broker_.evictions(), 1u);
}

TEST_F(ResidencyTest, TheyTakeTurns) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  reserve(2, 2, 600);
  LeaseId out = 1;
  for (int turn = 0; turn < 6; ++turn) {
    pass(*broker_.next_deadline_ns() - now_ns_);
    const RecallOrder order = only_recall();
    EXPECT_EQ(order.lease, out);
    ASSERT_TRUE(recalled(order, order.bytes).ok());
    if (turn > 0) {
      EXPECT_EQ(answer(3 - out, static_cast<uint32_t>(10 + turn - 1)), order.bytes);
      returned(3 - out);
    }
    bring_back(out, static_cast<uint32_t>(10 + turn), order.bytes);
    EXPECT_FALSE(answer(out, static_cast<uint32_t>(10 + turn)));
    out = 3 - out;
  }
}

TEST_F(ResidencyTest, WhoseTurnItIsGetsMoreBeforeOthersComeBack) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  reserve(2, 2, 600);
  pass(*broker_.next_deadline_ns() - now_ns_);
  ASSERT_TRUE(recalled(only_recall(), 200).ok());
  effects_ = {};
  bring_back(1, 3, 200);  // waits for 2's time to be up
  EXPECT_TRUE(effects_.recalls.empty());
  reserve(2, 4, 100);  // as it works, and 1 does not
  const RecallOrder order = only_recall();
  EXPECT_EQ(order.lease, 1u);
  ASSERT_TRUE(recalled(order, 100).ok());
  EXPECT_EQ(answer(2, 4), 100u);
  EXPECT_FALSE(answer(1, 3));
}

// While one moves out, the other one moves in.
TEST_F(ResidencyTest, MemoryComesBackInPieces) {
  attach(1);
  attach(2);
  reserve(1, 1, 900);
  reserve(2, 2, 900);
  pass(kEnough);
  ASSERT_TRUE(recalled(only_recall(), 800).ok());
  ASSERT_EQ(answer(2, 2), 900u);
  effects_ = {};
  reserve(1, 3, 300, 500, 800);
  EXPECT_FALSE(answer(1, 3));
  pass(kEnough);
  const RecallOrder order = only_recall();
  EXPECT_EQ(order.bytes, 800u) << "all that is to come back, not the first piece of it";
  ASSERT_TRUE(recalled(order, 200, true).ok());
  EXPECT_FALSE(answer(1, 3));
  ASSERT_TRUE(recalled(order, 200, true).ok());
  EXPECT_EQ(answer(1, 3), 400u);
  reserve(1, 4, 300, 400, 400);
  ASSERT_TRUE(recalled(order, 400).ok());
  EXPECT_EQ(answer(1, 4), 400u);
  effects_ = {};
  bring_back(2, 5, 800);
  pass(kEnough);
  EXPECT_TRUE(effects_.recalls.empty()) << "its turn begins once it is there";
  returned(1);
  pass(*broker_.next_deadline_ns() - now_ns_);
  EXPECT_EQ(only_recall().lease, 1u);
}

// Both load their data: the one that was there first gets all of it, at once.
TEST_F(ResidencyTest, WhoIsBlockedMakesRoom) {
  attach(1);
  attach(2);
  reserve(1, 1, 500);
  now_ns_ += kMs;
  reserve(2, 2, 500);
  reserve(2, 3, 100);  // waits
  EXPECT_TRUE(effects_.recalls.empty()) << "1 has its turn, as far as anybody knows";
  reserve(1, 4, 100);
  const RecallOrder order = only_recall();
  EXPECT_EQ(order.lease, 2u);
  ASSERT_TRUE(recalled(order, 100).ok());
  EXPECT_EQ(answer(1, 4), 100u);
  EXPECT_FALSE(answer(2, 3));
}

TEST_F(ResidencyTest, WhoCannotGiveTheRestIsNotWaitedFor) {
  attach(1);
  attach(2);
  attach(3);
  reserve(1, 1, 500);
  reserve(2, 2, 400);
  reserve(3, 3, 200);
  pass(kEnough);
  const RecallOrder order = std::exchange(effects_, {}).recalls.at(0);
  ASSERT_TRUE(recalled(order, 50).ok()) << "of 100";
  EXPECT_EQ(only_recall().lease, 2u);
}

TEST_F(ResidencyTest, NobodyIsBroughtBackInPart) {
  attach(1);
  attach(2);
  attach(3);
  reserve(1, 1, 500);
  reserve(2, 2, 400);
  reserve(3, 3, 400);
  pass(kEnough);
  ASSERT_TRUE(recalled(only_recall(), 300).ok());
  ASSERT_EQ(answer(3, 3), 400u);
  effects_ = {};
  reserve(2, 4, 50);  // 2's turn is over, and it asks for more: what of 1 is there goes
  ASSERT_TRUE(recalled(only_recall(), 50).ok());
  effects_ = {};
  broker_.close(2, now_ns_, effects_);
  EXPECT_TRUE(effects_.answers.empty());
  reserve(1, 5, 100, 350, 350);
  EXPECT_EQ(answer(1, 5), 350u);
}

TEST_F(ResidencyTest, WhoStopsOnItsWayBackStandsInNobodysWay) {
  attach(1);
  attach(2);
  reserve(1, 1, 900);
  reserve(2, 2, 500);
  pass(kEnough);
  ASSERT_TRUE(recalled(only_recall(), 400).ok());
  effects_ = {};
  reserve(1, 3, 100, 100, 400);
  pass(kEnough);
  ASSERT_TRUE(recalled(only_recall(), 400).ok());
  EXPECT_EQ(answer(1, 3), 100u);  // and asks for no more
  effects_ = {};
  bring_back(2, 4, 400);
  EXPECT_FALSE(answer(2, 4));
  EXPECT_TRUE(effects_.recalls.empty());
  pass(kReturnPatienceNs);
  EXPECT_EQ(only_recall().lease, 1u);
  ASSERT_TRUE(recalled(only_recall(), 100).ok());
  EXPECT_EQ(answer(2, 4), 400u);
}

TEST_F(ResidencyTest, ThrashIsSeenAndTamed) {
  broker_.set_round(kSecond);
  attach(1);
  attach(2);
  reserve(1, 1, 900);
  reserve(2, 2, 900);
  pass(kEnough);
  ASSERT_TRUE(recalled(only_recall(), 800).ok());
  LeaseId in = 2;
  uint64_t first_turn = 0;
  bool thrashed = false;
  for (uint32_t turn = 0; turn < 30; ++turn) {
    const LeaseId next = 3 - in;
    effects_ = {};
    bring_back(next, 10 + turn, 800);
    const uint64_t begun = now_ns_;
    while (effects_.recalls.empty()) pass(*broker_.next_deadline_ns() - now_ns_);
    if (turn == 0) first_turn = now_ns_ - begun;
    const RecallOrder order = only_recall();
    ASSERT_TRUE(recalled(order, 100, true).ok());
    now_ns_ += 600 * kMs;  // copies take that long, however little is worked
    ASSERT_TRUE(recalled(order, 700).ok());
    effects_ = {};
    returned(next);
    in = next;
    thrashed = thrashed || broker_.moving(0).thrashing;
  }
  EXPECT_LE(first_turn, kSecond);
  EXPECT_TRUE(thrashed);
  EXPECT_FALSE(broker_.moving(0).thrashing);
  EXPECT_GT(broker_.moving(0).turn_ns, 5 * kSecond) << "longer than others should wait, or nobody gets on";
}

TEST_F(ResidencyTest, OfWhatIsGuaranteedNothingIsAsked) {
  broker_.set_terms(1, 0, {.min_bytes = 500});
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  reserve(2, 2, 500);
  pass(kEnough);
  const RecallOrder order = only_recall();
  EXPECT_EQ(order.lease, 1u);
  EXPECT_EQ(order.bytes, 100u) << "what it has beyond";
  ASSERT_TRUE(recalled(order, 100).ok());
  EXPECT_EQ(answer(2, 2), 500u);
  effects_ = {};
  reserve(2, 3, 1);
  EXPECT_EQ(answer(2, 3), 0u) << "it could wait for ever";
  EXPECT_EQ(effects_.answers[0].refusal, vgpu::Refusal::kNeverFits);
  broker_.forget_terms(1);
  effects_ = {};
  reserve(2, 4, 1);
  EXPECT_NE(answer(2, 4), 0u);
}

TEST_F(ResidencyTest, TurnsFollowWeights) {
  broker_.set_terms(1, 0, {.weight = 300});
  attach(1);
  attach(2);
  reserve(1, 1, 900);
  const uint64_t begun = now_ns_;
  reserve(2, 2, 900);
  pass(*broker_.next_deadline_ns() - now_ns_);
  const uint64_t first = now_ns_ - begun;
  ASSERT_TRUE(recalled(only_recall(), 800).ok());
  ASSERT_EQ(answer(2, 2), 900u);
  bring_back(1, 3, 800);
  effects_ = {};
  const uint64_t then = now_ns_;
  pass(*broker_.next_deadline_ns() - now_ns_);
  EXPECT_EQ(only_recall().lease, 2u);
  EXPECT_EQ(first, 3 * (now_ns_ - then));
}

TEST_F(ResidencyTest, WaitsForMemoryAreCounted) {
  attach(1);
  attach(2);
  reserve(1, 1, 900);
  EXPECT_EQ(broker_.waited_ns(1, 0, now_ns_), 0u);
  reserve(2, 2, 900);
  const uint64_t waited = *broker_.next_deadline_ns() - now_ns_;
  EXPECT_EQ(broker_.waited_ns(2, 0, now_ns_ + 7), 7u);
  pass(waited);
  ASSERT_TRUE(recalled(only_recall(), 800).ok());
  EXPECT_EQ(broker_.waited_ns(2, 0, now_ns_ + kSecond), waited) << "it has what it waited for";
  EXPECT_EQ(broker_.waited_ns(1, 0, now_ns_), 0u) << "it is out, and does not want to be in";
  bring_back(1, 3, 800);
  EXPECT_EQ(broker_.waited_ns(1, 0, now_ns_ + 5), 5u);
}

TEST_F(ResidencyTest, WhatCanNeverFitIsRefused) {
  attach(1);
  attach(2);
  reserve(1, 1, kCapacity + 1);
  EXPECT_EQ(answer(1, 1), 0u);
  effects_ = {};
  reserve(1, 2, 600);
  reserve(1, 3, 401);
  EXPECT_EQ(answer(1, 3), 0u) << "beside what it has";
}

// Host or disk are full: who grows is told so; what was there before waits until there is room.
TEST_F(ResidencyTest, WithoutAPlaceForWhatOthersHaveNobodyGrows) {
  attach(1);
  attach(2);
  attach(3);
  reserve(1, 1, 600);
  reserve(2, 2, 600);
  pass(kEnough);
  ASSERT_TRUE(recalled(only_recall(), 200).ok());
  ASSERT_EQ(answer(2, 2), 600u);
  pass(kEnough);
  reserve(3, 3, 100);
  const RecallOrder order = only_recall();
  EXPECT_EQ(order.lease, 1u) << "which is out already";
  const RecalledMessage full{0, 20, BudgetKind::kResident, 220, false, true};
  ASSERT_TRUE(broker_.recalled(1, order.number, full, now_ns_, effects_).ok());
  const RecallOrder other = effects_.recalls.back();
  EXPECT_EQ(other.lease, 2u);
  const RecalledMessage full_too{0, 0, BudgetKind::kResident, 0, false, true};
  ASSERT_TRUE(broker_.recalled(2, other.number, full_too, now_ns_, effects_).ok());
  ASSERT_EQ(effects_.answers.size(), 1u);
  EXPECT_EQ(effects_.answers[0].granted_bytes, 0u);
  EXPECT_EQ(effects_.answers[0].refusal, vgpu::Refusal::kNoSwap);
  effects_ = {};
  bring_back(1, 4, 220);
  EXPECT_TRUE(effects_.answers.empty());
  pass(kEvictPauseNs);
  EXPECT_EQ(only_recall().lease, 2u) << "is asked again";
}

TEST_F(ResidencyTest, WhoGaveLessThanAskedIsAskedAgain) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  reserve(2, 2, 600);
  pass(kEnough);
  ASSERT_TRUE(recalled(only_recall(), 100).ok());
  EXPECT_FALSE(answer(2, 2));
  pass(kEvictPauseNs);
  ASSERT_TRUE(recalled(only_recall(), 100).ok());
  EXPECT_EQ(answer(2, 2), 600u);
}

TEST_F(ResidencyTest, WhoCouldGiveNothingIsAskedAgain) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  reserve(2, 2, 600);
  pass(kEnough);
  ASSERT_TRUE(recalled(only_recall(), 0).ok());
  EXPECT_FALSE(answer(2, 2));
  pass(kEvictPauseNs);
  ASSERT_TRUE(recalled(only_recall(), 200).ok());
  EXPECT_EQ(answer(2, 2), 600u);
}

TEST_F(ResidencyTest, ADeadProcessMakesRoom) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  reserve(2, 2, 600);
  broker_.close(1, now_ns_, effects_);
  EXPECT_EQ(answer(2, 2), 600u);
}

TEST_F(ResidencyTest, WhoDoesNotAnswerIsPassedOver) {
  attach(1);
  attach(2);
  attach(3);
  reserve(1, 1, 500);
  now_ns_ += kMs;
  reserve(2, 2, 500);
  reserve(3, 3, 400);
  pass(kEnough);
  EXPECT_EQ(only_recall().lease, 1u);
  pass(kEvictPatienceNs);
  EXPECT_EQ(only_recall().lease, 2u);
}

TEST_F(ResidencyTest, AfterARestartNothingIsGrantedBeforeEachHasSaidWhatItHolds) {
  open(1);
  attach(2);
  reserve(2, 2, 600);
  EXPECT_FALSE(answer(2, 2));
  const uint64_t held[] = {500};
  ASSERT_TRUE(broker_.attach(1, held, now_ns_, effects_).ok());
  EXPECT_FALSE(answer(2, 2)) << "it does not fit beside";
  EXPECT_EQ(broker_.resident_bytes(1, 0), 500u);
}

TEST_F(ResidencyTest, AfterARestartNobodyIsAwaitedForEver) {
  open(1);
  attach(2);
  reserve(2, 2, 600);
  pass(kAwaitedTimeoutNs);
  EXPECT_EQ(answer(2, 2), 600u);
}

TEST_F(ResidencyTest, NobodyHoldsMoreThanThereIs) {
  attach(1, 600);
  open(2);
  const uint64_t held[] = {500};
  EXPECT_FALSE(broker_.attach(2, held, now_ns_, effects_).ok());
}

TEST_F(ResidencyTest, BrokenRules) {
  EXPECT_FALSE(broker_.reserve(1, 1, {0, 1, 1, BudgetKind::kResident, 0}, now_ns_, effects_).ok());
  attach(1);
  EXPECT_FALSE(broker_.reserve(1, 1, {1, 1, 1, BudgetKind::kResident, 0}, now_ns_, effects_).ok());
  EXPECT_FALSE(broker_.release(1, {0, 1, BudgetKind::kResident}, now_ns_, effects_).ok());
  EXPECT_FALSE(recalled({1, 9, 0, 1}, 1).ok());
}

}  // namespace
}  // namespace tessera::node
