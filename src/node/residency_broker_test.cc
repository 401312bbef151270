#include "node/residency_broker.h"

#include <gtest/gtest.h>

#include <random>

namespace tessera::node {
namespace {

using vgpu::BudgetKind;

constexpr uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr uint64_t kCapacity = 1000;

class ResidencyTest : public testing::Test {
 protected:
  ResidencyTest() { broker_.set_capacities({kCapacity}); }

  void attach(LeaseId lease, uint64_t held = 0) {
    broker_.open(lease, {0}, now_ns_);
    const uint64_t bytes[] = {held};
    ASSERT_TRUE(broker_.attach(lease, bytes, now_ns_, effects_).ok());
  }
  void reserve(LeaseId lease, uint32_t request, uint64_t bytes, bool brings_back = false) {
    ASSERT_TRUE(
        broker_
            .reserve(lease, request, {0, bytes, bytes, BudgetKind::kResident, brings_back}, now_ns_, effects_)
            .ok());
    ASSERT_TRUE(broker_.check().ok()) << broker_.check().message();
  }
  Status recalled(const RecallOrder& order, uint64_t bytes) {
    return broker_.recalled(order.lease, order.number,
                            {order.device, bytes, BudgetKind::kResident, bytes > 0}, now_ns_, effects_);
  }
  // What was granted since the last call; 0: refused.
  std::optional<uint64_t> answer(LeaseId lease, uint32_t request) {
    for (const ReserveAnswer& each : effects_.answers) {
      if (each.lease == lease && each.request == request) return each.granted_bytes;
    }
    return std::nullopt;
  }
  RecallOrder only_recall() {
    EXPECT_EQ(effects_.recalls.size(), 1u);
    return effects_.recalls.empty() ? RecallOrder{} : effects_.recalls[0];
  }
  void pass(uint64_t ns) {
    effects_ = {};
    now_ns_ += ns;
    broker_.expire(now_ns_, effects_);
  }

  ResidencyBroker broker_;
  Effects effects_;
  uint64_t now_ns_ = kSecond;
};

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
    reserve(out, static_cast<uint32_t>(10 + turn), order.bytes, true);  // and it wants to come back
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
  reserve(1, 3, 200, true);  // waits for 2's time to be up
  EXPECT_TRUE(effects_.recalls.empty());
  reserve(2, 4, 100);  // as it works, and 1 does not
  const RecallOrder order = only_recall();
  EXPECT_EQ(order.lease, 1u);
  ASSERT_TRUE(recalled(order, 100).ok());
  EXPECT_EQ(answer(2, 4), 100u);
  EXPECT_FALSE(answer(1, 3));
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

TEST_F(ResidencyTest, WhoGaveLessThanAskedIsAskedAgain) {
  attach(1);
  attach(2);
  reserve(1, 1, 600);
  reserve(2, 2, 600);
  pass(partitioning::kShortestResidenceNs);
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
  pass(partitioning::kShortestResidenceNs);
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
  pass(partitioning::kShortestResidenceNs);
  EXPECT_EQ(only_recall().lease, 1u);
  pass(kEvictPatienceNs);
  EXPECT_EQ(only_recall().lease, 2u);
}

TEST_F(ResidencyTest, AfterARestartNothingIsGrantedBeforeEachHasSaidWhatItHolds) {
  broker_.open(1, {0}, now_ns_);
  attach(2);
  reserve(2, 2, 600);
  EXPECT_FALSE(answer(2, 2));
  const uint64_t held[] = {500};
  ASSERT_TRUE(broker_.attach(1, held, now_ns_, effects_).ok());
  EXPECT_FALSE(answer(2, 2)) << "it does not fit beside";
  EXPECT_EQ(broker_.resident_bytes(1, 0), 500u);
}

TEST_F(ResidencyTest, AfterARestartNobodyIsAwaitedForEver) {
  broker_.open(1, {0}, now_ns_);
  attach(2);
  reserve(2, 2, 600);
  pass(kAwaitedTimeoutNs);
  EXPECT_EQ(answer(2, 2), 600u);
}

TEST_F(ResidencyTest, NobodyHoldsMoreThanThereIs) {
  attach(1, 600);
  broker_.open(2, {0}, now_ns_);
  const uint64_t held[] = {500};
  EXPECT_FALSE(broker_.attach(2, held, now_ns_, effects_).ok());
}

TEST_F(ResidencyTest, BrokenRules) {
  EXPECT_FALSE(broker_.reserve(1, 1, {0, 1, 1, BudgetKind::kResident}, now_ns_, effects_).ok());
  attach(1);
  EXPECT_FALSE(broker_.reserve(1, 1, {1, 1, 1, BudgetKind::kResident}, now_ns_, effects_).ok());
  EXPECT_FALSE(broker_.release(1, {0, 1, BudgetKind::kResident}, now_ns_, effects_).ok());
  EXPECT_FALSE(recalled({1, 9, 0, 1}, 1).ok());
}

// Processes that ask, work, give way or say that they cannot, vanish and come back, in any order: never is
// more granted than there is, and whoever waits is served once others have had their time.
class ResidencyWalk {
 public:
  explicit ResidencyWalk(uint64_t seed) : dice_(seed) { broker_.set_capacities({kCapacity}); }

  void run() {
    for (LeaseId lease = 1; lease <= kLeases; ++lease) begin(lease);
    for (int step = 0; step < 4000; ++step) {
      act(1 + roll(kLeases));
      settle();
    }
    for (int round = 0; round < 200 && broker_.waiting() > 0; ++round) {
      now_ns_ = broker_.next_deadline_ns().value_or(now_ns_ + kSecond);
      Effects effects;
      broker_.expire(now_ns_, effects);
      handle(effects);
      for (LeaseId lease = 1; lease <= kLeases; ++lease) answer_all(lease, true);
    }
    EXPECT_EQ(broker_.waiting(), 0u) << "a request waits for ever";
  }

 private:
  static constexpr uint64_t kLeases = 4;
  struct Process {
    uint64_t held = 0;
    std::vector<RecallOrder> recalls;
  };

  uint64_t roll(uint64_t below) { return std::uniform_int_distribution<uint64_t>(0, below - 1)(dice_); }

  void begin(LeaseId lease) {
    broker_.open(lease, {0}, now_ns_);
    Effects effects;
    const uint64_t nothing[] = {0};
    ASSERT_TRUE(broker_.attach(lease, nothing, now_ns_, effects).ok());
    handle(effects);
    processes_[lease] = {};
  }

  void act(LeaseId lease) {
    Process& process = processes_[lease];
    Effects effects;
    switch (roll(6)) {
      case 0:
        (void)broker_.reserve(lease, ++request_,
                              {0, 1 + roll(kCapacity / 2), kCapacity, BudgetKind::kResident}, now_ns_,
                              effects);
        break;
      case 1:
        if (process.held > 0) {
          const uint64_t bytes = 1 + roll(process.held);
          process.held -= bytes;
          ASSERT_TRUE(broker_.release(lease, {0, bytes, BudgetKind::kResident}, now_ns_, effects).ok());
        }
        break;
      case 2:
      case 3:
        answer_all(lease, roll(4) != 0);
        break;
      case 4:
        if (roll(20) == 0) {
          broker_.close(lease, now_ns_, effects);
          begin(lease);
        }
        break;
      default:
        now_ns_ += roll(300 * kMs);
        broker_.expire(now_ns_, effects);
    }
    handle(effects);
  }

  void answer_all(LeaseId lease, bool can_give) {
    Process& process = processes_[lease];
    for (const RecallOrder& order : std::exchange(process.recalls, {})) {
      const uint64_t bytes = can_give ? std::min(order.bytes, process.held) : 0;
      process.held -= bytes;
      Effects effects;
      ASSERT_TRUE(
          broker_
              .recalled(lease, order.number, {0, bytes, BudgetKind::kResident, bytes > 0}, now_ns_, effects)
              .ok());
      handle(effects);
    }
  }

  void handle(const Effects& effects) {
    for (const RecallOrder& order : effects.recalls) processes_[order.lease].recalls.push_back(order);
    for (const ReserveAnswer& answer : effects.answers) processes_[answer.lease].held += answer.granted_bytes;
  }

  void settle() {
    ASSERT_TRUE(broker_.check().ok()) << broker_.check().message();
    for (const auto& [lease, process] : processes_) ASSERT_EQ(process.held, broker_.resident_bytes(lease, 0));
  }

  ResidencyBroker broker_;
  std::map<LeaseId, Process> processes_;
  std::mt19937_64 dice_;
  uint64_t now_ns_ = kSecond;
  uint32_t request_ = 0;
};

TEST(ResidencyBroker, KeepsItsPromisesWhateverHappens) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    ResidencyWalk(seed).run();
    if (testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace tessera::node
