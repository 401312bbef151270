#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <set>

#include "node/residency_broker.h"

namespace tessera::node {
namespace {

using vgpu::BudgetKind;

constexpr uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr uint64_t kCapacity = 1000;

// Processes that ask, work, give way or say that they cannot, are brought back, stop in the midst of it,
// vanish and begin anew, in any order: never is more granted than there is, and whoever waits is served once
// others have had their time.
class ResidencyWalk {
 public:
  explicit ResidencyWalk(uint64_t seed) : dice_(seed) { broker_.set_capacities({kCapacity}); }

  void run() {
    for (uint64_t& minimum : minima_) minimum = roll(3) * roll(120);
    for (LeaseId lease = 1; lease <= kLeases; ++lease) set_terms(lease);
    for (LeaseId lease = 1; lease <= kLeases; ++lease) begin(lease);
    for (int step = 0; step < 4000; ++step) {
      act(1 + roll(kLeases));
      settle();
    }
    const uint32_t last = request_;
    const auto is_served = [&] { return unanswered_.empty() || *unanswered_.begin() > last; };
    for (int round = 0; round < 400 && !is_served(); ++round) {
      now_ns_ = broker_.next_deadline_ns().value_or(now_ns_ + kSecond);
      Effects effects;
      broker_.expire(now_ns_, effects);
      handle(effects);
      for (uint32_t before = request_ - 1; before != request_;) {  // until all wait for time to pass
        before = request_;
        for (LeaseId lease = 1; lease <= kLeases; ++lease) {
          answer_all(lease, true);
          go_on(lease);
        }
      }
      settle();
    }
    EXPECT_TRUE(is_served()) << "a request waits for ever";
  }

 private:
  static constexpr uint64_t kLeases = 4;
  struct Process {
    uint64_t held = 0, out = 0;
    uint64_t granted = 0;         // to be brought back, and not said to be so yet
    uint32_t return_request = 0;  // that waits for an answer; 0: none does
    std::vector<RecallOrder> recalls;
  };

  uint64_t roll(uint64_t below) { return std::uniform_int_distribution<uint64_t>(0, below - 1)(dice_); }

  // Each is a slice of its own. What is guaranteed changes only where everybody can have his limit all the
  // same.
  void set_terms(LeaseId lease) {
    broker_.set_terms(lease, 0, {minima_.at(lease - 1), static_cast<uint32_t>(1 + roll(500))});
  }

  uint32_t asked(LeaseId lease) {
    unanswered_.insert(++request_);
    asked_by_[request_] = lease;
    return request_;
  }

  void begin(LeaseId lease) {
    const ResidencyBroker::Promise promises[] = {{0, kCapacity}};
    broker_.open(lease, lease, promises, now_ns_);
    Effects effects;
    const uint64_t nothing[] = {0};
    ASSERT_TRUE(broker_.attach(lease, nothing, now_ns_, effects).ok());
    handle(effects);
    processes_[lease] = {};
  }

  void act(LeaseId lease) {
    Process& process = processes_[lease];
    Effects effects;
    switch (roll(8)) {
      case 0: {
        const ReserveMessage message{0, 1 + roll(kCapacity / 2), kCapacity, BudgetKind::kResident, 0};
        const uint32_t request = asked(lease);
        if (!broker_.reserve(lease, request, message, now_ns_, effects).ok()) unanswered_.erase(request);
        break;
      }
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
        if (roll(10) == 0) set_terms(lease);
        if (roll(20) == 0) {
          broker_.close(lease, now_ns_, effects);
          std::erase_if(unanswered_, [&](uint32_t request) { return asked_by_[request] == lease; });
          handle(std::exchange(effects, {}));
          begin(lease);
        }
        break;
      case 5:
      case 6:
        go_on(lease);
        break;
      default:
        now_ns_ += roll(300 * kMs);
        broker_.expire(now_ns_, effects);
    }
    handle(effects);
  }

  // What is out of it is to come back: it asks for some of that, or says that all is there.
  void go_on(LeaseId lease) {
    Process& process = processes_[lease];
    if (process.out == 0 || process.return_request != 0) return;
    process.out -= std::min(process.out, std::exchange(process.granted, 0));
    Effects effects;
    if (process.out == 0) {
      ASSERT_TRUE(broker_.returned(lease, {0}, now_ns_, effects).ok());
    } else {
      const uint64_t piece = std::min<uint64_t>(process.out, 100);
      process.return_request = asked(lease);
      ASSERT_TRUE(broker_
                      .reserve(lease, process.return_request,
                               {0, piece, process.out, BudgetKind::kResident, process.out}, now_ns_, effects)
                      .ok());
    }
    handle(effects);
  }

  void answer_all(LeaseId lease, bool can_give) {
    Process& process = processes_[lease];
    for (const RecallOrder& order : std::exchange(process.recalls, {})) {
      const uint64_t all = can_give ? std::min(order.bytes, process.held) : 0;
      const uint64_t pieces[] = {all / 2, all - all / 2};
      for (const uint64_t& bytes : pieces) {
        process.held -= bytes;
        process.out += bytes;
        Effects effects;
        const RecalledMessage message{0, bytes, BudgetKind::kResident, process.out, &bytes == pieces};
        ASSERT_TRUE(broker_.recalled(lease, order.number, message, now_ns_, effects).ok());
        handle(effects);
      }
    }
  }

  void handle(const Effects& effects) {
    for (const ReserveAnswer& answer : effects.answers) {
      Process& process = processes_[answer.lease];
      process.held += answer.granted_bytes;
      unanswered_.erase(answer.request);
      if (answer.request != process.return_request) continue;
      EXPECT_GT(answer.granted_bytes, 0u) << "what was there once must fit again";
      process.granted = answer.granted_bytes;
      process.return_request = 0;
    }
    for (const RecallOrder& order : effects.recalls) {
      Process& process = processes_[order.lease];
      process.recalls.push_back(order);
      EXPECT_GE(process.held - std::min(process.held, order.bytes),
                std::min(process.held, minima_.at(order.lease - 1)))
          << "of what is guaranteed";
    }
  }

  void settle() {
    ASSERT_TRUE(broker_.check().ok()) << broker_.check().message();
    for (const auto& [lease, process] : processes_) ASSERT_EQ(process.held, broker_.resident_bytes(lease, 0));
  }

  ResidencyBroker broker_;
  std::array<uint64_t, kLeases> minima_{};
  std::map<LeaseId, Process> processes_;
  std::set<uint32_t> unanswered_;
  std::map<uint32_t, LeaseId> asked_by_;
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
