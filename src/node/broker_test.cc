#include "node/broker.h"

#include <gtest/gtest.h>

#include <random>

namespace tessera::node {
namespace {

constexpr uint64_t kLimit = 1600;  // chunk_bytes() of it is 100

class BrokerTest : public ::testing::Test {
 protected:
  BrokerTest() : broker_(ledger_) {
    ledger_.set_gpu_totals({kLimit});
    SliceRequest request;
    request.program = "app";
    slice_ = *ledger_.open_slice(request, 0);
  }
  LeaseId attach() { return *ledger_.open_lease(Token{}, 0, {1, 1}, 0); }
  Effects reserve(LeaseId lease, uint64_t needed, uint64_t wanted, uint64_t now_ns = 0) {
    Effects effects;
    EXPECT_TRUE(broker_.reserve(lease, ++request_, {0, needed, wanted}, now_ns, effects).ok());
    EXPECT_TRUE(ledger_.check().ok());
    return effects;
  }
  Effects recalled(const RecallOrder& order, uint64_t bytes, uint64_t now_ns = 0) {
    Effects effects;
    EXPECT_TRUE(broker_.recalled(order.lease, order.number, {order.device, bytes}, now_ns, effects).ok());
    EXPECT_TRUE(ledger_.check().ok());
    return effects;
  }

  Ledger ledger_;
  Broker broker_;
  SliceId slice_ = 0;
  uint32_t request_ = 0;
};

TEST_F(BrokerTest, GrantsAtOnceAndAheadUpToAChunk) {
  LeaseId a = attach();
  Effects effects = reserve(a, 50, 5000);
  ASSERT_EQ(effects.answers.size(), 1U);
  EXPECT_EQ(effects.answers[0].granted_bytes, 150U);
  EXPECT_TRUE(effects.recalls.empty());
}

TEST_F(BrokerTest, MoreThanTheLimitIsRefusedWithoutRecall) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, 100, 100);
  Effects effects = reserve(b, kLimit + 1, UINT64_MAX);
  EXPECT_TRUE(effects.recalls.empty());
  ASSERT_EQ(effects.answers.size(), 1U);
  EXPECT_EQ(effects.answers[0].granted_bytes, 0U);
}

TEST_F(BrokerTest, RecallsWhatIsMissingThenGrantsOnlyWhatIsNeeded) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, 1550, 1550);
  Effects asked = reserve(b, 100, 200);
  EXPECT_TRUE(asked.answers.empty());
  ASSERT_EQ(asked.recalls.size(), 1U);
  EXPECT_EQ(asked.recalls[0].lease, a);
  EXPECT_EQ(asked.recalls[0].bytes, 50U);
  Effects done = recalled(asked.recalls[0], 50);
  ASSERT_EQ(done.answers.size(), 1U);
  EXPECT_EQ(done.answers[0].lease, b);
  EXPECT_EQ(done.answers[0].granted_bytes, 100U);
}

TEST_F(BrokerTest, RefusedWhenOthersGiveNothingBack) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, kLimit, kLimit);
  Effects asked = reserve(b, 100, 100);
  Effects done = recalled(asked.recalls.at(0), 0);
  ASSERT_EQ(done.answers.size(), 1U);
  EXPECT_EQ(done.answers[0].granted_bytes, 0U);
  EXPECT_EQ(broker_.waiting(), 0U);
}

TEST_F(BrokerTest, SilentProcessIsPassedOverUntilItAnswers) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, kLimit, kLimit);
  Effects asked = reserve(b, 100, 100, 1000);
  EXPECT_EQ(broker_.next_deadline_ns(), 1000 + kRecallTimeoutNs);
  Effects early;
  broker_.expire(1000 + kRecallTimeoutNs - 1, early);
  EXPECT_TRUE(early.answers.empty());
  Effects late;
  broker_.expire(1000 + kRecallTimeoutNs, late);
  ASSERT_EQ(late.answers.size(), 1U);
  EXPECT_EQ(late.answers[0].granted_bytes, 0U);
  // The next request does not wait for it again, and its late answer still counts.
  Effects again = reserve(b, 100, 100);
  ASSERT_EQ(again.answers.size(), 1U);
  EXPECT_TRUE(again.recalls.empty());
  recalled(asked.recalls[0], 100);
  EXPECT_EQ(reserve(b, 100, 100).answers.at(0).granted_bytes, 100U);
}

TEST_F(BrokerTest, FirstComeFirstServed) {
  LeaseId a = attach();
  LeaseId b = attach();
  LeaseId c = attach();
  reserve(a, 1550, 1550);
  Effects asked = reserve(b, 100, 100);
  EXPECT_TRUE(reserve(c, 10, 10).answers.empty()) << "what is left is kept for the first in line";
  Effects done = recalled(asked.recalls.at(0), 50);
  // b has its 100; c's turn finds nothing left and asks a and b.
  ASSERT_EQ(done.answers.size(), 1U);
  EXPECT_EQ(done.answers[0].lease, b);
  EXPECT_EQ(done.recalls.size(), 2U);
}

TEST_F(BrokerTest, DeathOfTheHolderServesTheWaiting) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, kLimit, kLimit);
  reserve(b, 100, 100);
  Effects effects;
  EXPECT_FALSE(broker_.close(a, 0, effects));
  ASSERT_EQ(effects.answers.size(), 1U);
  EXPECT_EQ(effects.answers[0].granted_bytes, 100U);
}

TEST_F(BrokerTest, DeathOfTheWaitingIsForgotten) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, kLimit, kLimit);
  Effects asked = reserve(b, 100, 100);
  Effects effects;
  broker_.close(b, 0, effects);
  EXPECT_TRUE(effects.answers.empty());
  EXPECT_EQ(broker_.waiting(), 0U);
  recalled(asked.recalls.at(0), 100);
}

TEST_F(BrokerTest, DetachedProcessKeepsItsGrantsAndIsNotAsked) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, kLimit, kLimit);
  Effects effects;
  broker_.disconnect(a, 0, effects);
  broker_.expire(kRecallTimeoutNs, effects);
  Effects refused = reserve(b, 1, 1, kRecallTimeoutNs);
  EXPECT_TRUE(refused.recalls.empty());
  EXPECT_EQ(refused.answers.at(0).granted_bytes, 0U);
}

TEST_F(BrokerTest, AKilledProcessMayCloseItsConnectionBeforeItsEndIsKnown) {
  LeaseId a = attach();
  LeaseId b = attach();
  LeaseId c = attach();
  reserve(a, kLimit, kLimit);
  EXPECT_EQ(reserve(b, 100, 100).recalls.size(), 1U);
  Effects effects;
  broker_.disconnect(a, 0, effects);
  EXPECT_TRUE(effects.answers.empty()) << "no refusal while it may be dying";
  EXPECT_TRUE(reserve(c, 50, 50).answers.empty());
  broker_.close(a, 1, effects);
  ASSERT_EQ(effects.answers.size(), 2U);
  EXPECT_EQ(effects.answers[0].granted_bytes, 100U);
  EXPECT_EQ(effects.answers[1].granted_bytes, 50U);
}

TEST_F(BrokerTest, RecalledMustAnswerARecall) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, kLimit, kLimit);
  Effects effects;
  EXPECT_FALSE(broker_.recalled(a, 1, {0, 0}, 0, effects).ok());
  RecallOrder order = reserve(b, 100, 100).recalls.at(0);
  EXPECT_FALSE(broker_.recalled(a, order.number + 1, {0, 100}, 0, effects).ok());
  EXPECT_FALSE(broker_.recalled(a, order.number, {0, 101}, 0, effects).ok());
  EXPECT_FALSE(broker_.recalled(a, order.number, {1, 100}, 0, effects).ok());
  EXPECT_FALSE(broker_.recalled(b, order.number, {0, 0}, 0, effects).ok());
  recalled(order, 100);
}

TEST_F(BrokerTest, WaitingRequestsOfOneProcessAreBounded) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, kLimit, kLimit);
  for (size_t i = 0; i < kMaxWaitingPerLease; ++i) reserve(b, 1, 1);
  Effects effects;
  EXPECT_EQ(broker_.reserve(b, 1, {0, 1, 1}, 0, effects).code(), Code::kResourceExhausted);
}

// Processes that reserve, release, answer recalls fully, partly, late or never, detach and die in any order:
// every request is answered exactly once or its asker is gone, no limit is exceeded, nothing waits for ever.
TEST_F(BrokerTest, ALoweredLimitCallsBudgetBackFromEveryProcess) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, 600, 600);
  reserve(b, 400, 400);
  ASSERT_TRUE(ledger_.set_limit(slice_, std::nullopt, 500).ok());
  Effects effects;
  broker_.limits_changed(slice_, 0, effects);
  ASSERT_EQ(effects.recalls.size(), 2U);
  EXPECT_EQ(effects.recalls[0].bytes, 500U);
  EXPECT_EQ(effects.recalls[1].bytes, 400U);
  recalled(effects.recalls[0], 100);
  EXPECT_EQ(reserve(a, 501, 501).answers.at(0).granted_bytes, 0U);
  recalled(effects.recalls[1], 400);
  EXPECT_FALSE(ledger_.find_slice(slice_)->devices[0].lowered);
}

// A process has one recall at a time: that for the lowered limit follows the one that is under way.
TEST_F(BrokerTest, ALoweredLimitWaitsForTheRecallUnderWay) {
  LeaseId a = attach();
  LeaseId b = attach();
  reserve(a, 1600, 1600);
  Effects first = reserve(b, 100, 100);
  ASSERT_EQ(first.recalls.size(), 1U);
  ASSERT_TRUE(ledger_.set_limit(slice_, std::nullopt, 500).ok());
  Effects none;
  broker_.limits_changed(slice_, 0, none);
  EXPECT_TRUE(none.recalls.empty());
  Effects second = recalled(first.recalls[0], 100);
  ASSERT_EQ(second.recalls.size(), 1U);
  EXPECT_EQ(second.recalls[0].lease, a);
  EXPECT_EQ(second.recalls[0].bytes, 1000U);
  Effects done = recalled(second.recalls[0], 1000);
  // What a holds is all of the new limit: a is asked for b's sake once more at most, then b is refused.
  for (const RecallOrder& order : done.recalls) done = recalled(order, 0);
  ASSERT_EQ(done.answers.size(), 1U);
  EXPECT_EQ(done.answers[0].granted_bytes, 0U);
}

TEST_F(BrokerTest, ARaisedLimitServesAtOnce) {
  LeaseId a = attach();
  ASSERT_TRUE(ledger_.set_limit(slice_, std::nullopt, 160).ok());
  reserve(a, 160, 160);
  EXPECT_EQ(reserve(a, 100, 100).answers.at(0).granted_bytes, 0U);
  ASSERT_TRUE(ledger_.set_limit(slice_, std::nullopt, kLimit).ok());
  Effects effects;
  broker_.limits_changed(slice_, 0, effects);
  EXPECT_TRUE(effects.recalls.empty());
  EXPECT_EQ(reserve(a, 100, 100).answers.at(0).granted_bytes, 100U);
}

class BrokerWalk {
 public:
  explicit BrokerWalk(uint64_t seed) : dice_(seed), broker_(ledger_) {
    ledger_.set_gpu_totals({4000, 4000});
    for (uint8_t i = 0; i < kSlices; ++i) {
      SliceRequest request;
      request.program = "app";
      request.token.fill(i);
      request.gpus = {0, 1};
      request.memory_bytes = {1000};
      EXPECT_TRUE(ledger_.open_slice(request, 0).ok());
    }
  }

  void step() {
    now_ns_ += roll(kRecallTimeoutNs / 4);
    Effects effects;
    uint64_t what = roll(21);
    if (what < 2 && leases_.size() < 24) {
      Token token;
      token.fill(static_cast<uint8_t>(roll(kSlices)));
      leases_.emplace(*ledger_.open_lease(token, 0, {1, 1}, 0), true);
    } else if (what == 2) {
      leave(effects);
    } else if (what == 20) {
      change_a_limit(effects);
    } else if (what < 11) {
      ask(effects);
    } else if (what < 14) {
      give(effects);
    } else {
      answer_recall(effects);
    }
    broker_.expire(now_ns_, effects);
    take(effects);
  }

  void settle() {
    Effects effects;
    now_ns_ += kRecallTimeoutNs;
    for (int i = 0; i < 200; ++i, now_ns_ += kRecallTimeoutNs) broker_.expire(now_ns_, effects);
    take(effects);
    EXPECT_EQ(broker_.waiting(), 0U);
    EXPECT_TRUE(pending_.empty());
    for (const auto& [lease, connected] : leases_) broker_.close(lease, now_ns_, effects);
    EXPECT_TRUE(ledger_.leases().empty());
    for (const auto& [id, slice] : ledger_.slices()) {
      for (const SliceDevice& device : slice.devices) EXPECT_EQ(device.granted_bytes, 0U);
    }
  }

  Status check() const { return ledger_.check(); }
  uint64_t granted = 0;
  uint64_t refused = 0;

 private:
  static constexpr uint8_t kSlices = 3;
  uint64_t roll(uint64_t sides) { return dice_() % sides; }
  std::map<LeaseId, bool>::iterator any_lease() {
    auto found = leases_.begin();
    if (!leases_.empty()) std::advance(found, roll(leases_.size()));
    return found;
  }

  void take(const Effects& effects) {
    for (const RecallOrder& order : effects.recalls) {
      EXPECT_TRUE(leases_.at(order.lease)) << "a detached process is asked";
      EXPECT_GT(order.bytes, 0U);
      recalls_.push_back(order);
    }
    for (const ReserveAnswer& answer : effects.answers) {
      EXPECT_EQ(pending_.erase({answer.lease, answer.request}), 1U);
      ++(answer.granted_bytes > 0 ? granted : refused);
    }
  }
  void leave(Effects& effects) {
    auto lease = any_lease();
    if (lease == leases_.end()) return;
    std::erase_if(pending_, [&](const auto& entry) { return entry.first == lease->first; });
    if (lease->second && roll(2) == 0) {
      broker_.disconnect(lease->first, now_ns_, effects);
      lease->second = false;
      return;
    }
    broker_.close(lease->first, now_ns_, effects);
    leases_.erase(lease);
  }
  void change_a_limit(Effects& effects) {
    SliceId slice = std::next(ledger_.slices().begin(), static_cast<ptrdiff_t>(roll(kSlices)))->first;
    if (ledger_.set_limit(slice, static_cast<uint32_t>(roll(2)), 100 + roll(1200)).ok()) {
      broker_.limits_changed(slice, now_ns_, effects);
    }
  }
  void ask(Effects& effects) {
    auto lease = any_lease();
    if (lease == leases_.end() || !lease->second) return;
    uint64_t needed = 1 + roll(400);
    ReserveMessage message{static_cast<uint32_t>(roll(2)), needed, needed + roll(200)};
    pending_.insert({lease->first, ++request_});
    if (!broker_.reserve(lease->first, request_, message, now_ns_, effects).ok()) {
      pending_.erase({lease->first, request_});
    }
  }
  void give(Effects& effects) {
    auto lease = any_lease();
    if (lease == leases_.end() || !lease->second) return;
    auto device = static_cast<uint32_t>(roll(2));
    uint64_t has = ledger_.find_lease(lease->first)->devices[device].granted_bytes;
    EXPECT_TRUE(broker_.release(lease->first, {device, roll(has + 1)}, now_ns_, effects).ok());
  }
  void answer_recall(Effects& effects) {
    if (recalls_.empty()) return;
    size_t index = roll(recalls_.size());
    RecallOrder order = recalls_[index];
    recalls_.erase(recalls_.begin() + static_cast<ptrdiff_t>(index));
    auto lease = leases_.find(order.lease);
    if (lease == leases_.end() || !lease->second || roll(8) == 0) return;
    uint64_t has = ledger_.find_lease(order.lease)->devices[order.device].granted_bytes;
    uint64_t bytes = roll(std::min(has, order.bytes) + 1);
    EXPECT_TRUE(broker_.recalled(order.lease, order.number, {order.device, bytes}, now_ns_, effects).ok());
  }

  std::mt19937_64 dice_;
  Ledger ledger_;
  Broker broker_;
  uint64_t now_ns_ = 0;
  uint32_t request_ = 0;
  std::map<LeaseId, bool> leases_;  // connected?
  std::vector<RecallOrder> recalls_;
  std::set<std::pair<LeaseId, uint32_t>> pending_;
};

TEST(BrokerProperty, EveryRequestIsAnsweredAndNoLimitExceeded) {
  uint64_t granted = 0;
  uint64_t refused = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    BrokerWalk walk(seed);
    for (int i = 0; i < 10'000; ++i) {
      walk.step();
      ASSERT_TRUE(walk.check().ok()) << walk.check().message() << ", seed " << seed << ", step " << i;
    }
    walk.settle();
    granted += walk.granted;
    refused += walk.refused;
  }
  EXPECT_GT(granted, 1000U);
  EXPECT_GT(refused, 1000U);
}

}  // namespace
}  // namespace tessera::node
