// The compute broker on a clock that is set back and forth.
#include <gtest/gtest.h>

#include "common/steady_time.h"
#include "node/compute_broker_testing.h"
#include "scheduling/random.h"

namespace tessera::node {
namespace {

using scheduling::kSecond;
using scheduling::Random;
using testing::kMs;
using testing::Node;
using testing::with_share;
using vgpu::GateState;

constexpr uint64_t kHour = 3600 * kSecond;

// What the processes measure is by the clock, too, as where a whole machine stood still.
class JumpyNode : public Node {
 public:
  JumpyNode() { now = time.read(clock_ns); }

  // As the daemon waits: for what is due, by the time that it was.
  void pass_to(uint64_t end_ns) {
    while (passed_ns < end_ns) {
      const uint64_t due = broker.next_deadline_ns().value_or(now + 10 * kMs);
      const uint64_t wait_ns = std::clamp<uint64_t>(scheduling::elapsed(now, due), 1, end_ns - passed_ns);
      time.expect(due);
      go_on(wait_ns, clock_ns + wait_ns);
    }
  }
  // While somebody waits for `wait_ns` more.
  void jump_to(uint64_t then_ns, uint64_t wait_ns) {
    time.expect(now + wait_ns);
    ++jumps;
    go_on(wait_ns, then_ns);
  }
  bool running(SliceId slice) const {
    return state(slice) == GateState::kRun || state(slice) == GateState::kFree;
  }
  // The longest real time that each was kept waiting.
  uint64_t longest_wait_ns() const {
    uint64_t longest = 0;
    for (const auto& [slice, wait] : longest_) longest = std::max(longest, wait);
    return longest;
  }

  SteadyTime time;
  uint64_t clock_ns = 100 * kHour;
  uint64_t passed_ns = 0;  // really
  uint64_t jumps = 0;
  std::map<SliceId, uint64_t> had_ns;  // really

 private:
  void go_on(uint64_t real_ns, uint64_t then_ns) {
    for (const auto& [slice, word] : words) {
      if (!running(slice)) {
        longest_[slice] = std::max(longest_[slice], waits_[slice] += real_ns);
        continue;
      }
      waits_[slice] = 0;
      had_ns[slice] += real_ns;
      busy[slice] += scheduling::elapsed(clock_ns, then_ns);
    }
    passed_ns += real_ns;
    clock_ns = then_ns;
    now = time.read(clock_ns);
    for (const auto& [slice, word] : words) {
      if (running(slice)) broker.report(slice, slice, 0, {busy[slice], busy[slice] / kMs, 0, 0}, now);
    }
    decide();
  }

  std::map<SliceId, uint64_t> waits_, longest_;
};

TEST(ComputeBrokerClock, AClockThatIsSetBackEndsNobodysTurns) {
  JumpyNode node;
  node.start(1, with_share(600));
  node.start(2, with_share(400));
  node.wake(2);
  node.pass_to(kSecond);
  node.jump_to(kHour, 5 * kMs);
  node.had_ns.clear();
  node.pass_to(5 * kSecond);
  EXPECT_NEAR(static_cast<double>(node.had_ns[1]), 0.6 * 4 * kSecond, 0.1 * kSecond);
  EXPECT_LT(node.longest_wait_ns(), 200 * kMs);
}

TEST(ComputeBrokerClock, NobodyIsChargedTheHourThatTheClockLeapt) {
  JumpyNode node;
  node.start(1, with_share(600));
  node.start(2, with_share(400));
  node.wake(2);
  node.pass_to(kSecond);
  node.jump_to(node.clock_ns + kHour, 5 * kMs);
  node.pass_to(10 * kSecond);
  const uint64_t most_ns = node.passed_ns + SteadyTime::kMostLateNs;
  for (SliceId slice : {1, 2}) {
    EXPECT_LE(node.broker.used_ns(slice, 0), most_ns);
    EXPECT_LE(node.broker.granted(slice, 0, node.now).turn_ns, most_ns);
    EXPECT_GT(node.had_ns[slice], 2 * kSecond);
  }
  EXPECT_LE(node.longest_wait_ns(), 2 * SteadyTime::kMostLateNs);
}

TEST(ComputeBrokerClock, ACappedSliceGoesOnAfterTheClockWasSetBack) {
  JumpyNode node;
  testing::TenantSpec capped = with_share(200);
  capped.cap_permille = 200;
  node.start(1, capped);
  node.wake(1);
  node.pass_to(kSecond);
  node.jump_to(kHour, kMs);
  node.had_ns.clear();
  node.pass_to(6 * kSecond);
  EXPECT_NEAR(static_cast<double>(node.had_ns[1]), 0.2 * 5 * kSecond, 0.05 * kSecond);
}

// Two readings of one moment may reach the broker in the other order.
TEST(ComputeBrokerClock, AMomentThatIsToldLateMakesNothingNegative) {
  Node node;
  node.start(1);
  node.start(2);
  node.wake(2);
  node.pass(100 * kMs);
  for (int i = 0; i < 100; ++i) {
    node.now -= kMs;
    node.idle(1);
    node.wake(1);
    node.idle(2);
    node.wake(2);
    node.pass(3 * kMs);
  }
  for (SliceId slice : {1, 2}) {
    EXPECT_LE(node.broker.waits(slice, 0, node.now).quantile(1000), kSecond);
    EXPECT_LE(node.broker.used_ns(slice, 0), kSecond);
    const ComputeBroker::Granted granted = node.broker.granted(slice, 0, node.now);
    EXPECT_LE(granted.free_ns + granted.turn_ns, kSecond);
  }
}

// Jumps of all lengths, both ways: nobody starves, and nobody is booked more than went by and what a leap may
// count for.
TEST(ComputeBrokerClock, PromisesHoldForEverySeed) {
  // Who paid for leaps has a turn whenever it starves, each half a second, of 8 ms at least where no leap
  // ends it.
  constexpr uint64_t kAsStarving = 20 * 2 * 4 * kMs;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    JumpyNode node;
    node.start(1, with_share(500));
    node.start(2, with_share(300));
    node.start(3);
    for (SliceId slice : {2, 3}) node.wake(slice);
    while (node.passed_ns < 20 * kSecond) {
      node.pass_to(node.passed_ns + random.below(2 * kSecond) + 1);
      const uint64_t jump = random.between(1, 1000) * (random.one_in(2) ? kMs : 60 * kSecond);
      const bool back = random.one_in(2);
      node.jump_to(back ? node.clock_ns - std::min(jump, node.clock_ns) : node.clock_ns + jump, kMs);
    }
    const uint64_t most_ns = node.passed_ns + node.jumps * (SteadyTime::kMostLateNs + kMs);
    uint64_t granted_ns = 0;
    for (SliceId slice : {1, 2, 3}) {
      granted_ns += node.broker.granted(slice, 0, node.now).turn_ns;
      ASSERT_LE(node.broker.used_ns(slice, 0), most_ns) << "seed " << seed;
      ASSERT_GT(node.had_ns[slice], kAsStarving) << "seed " << seed;
      ASSERT_LE(node.broker.waits(slice, 0, node.now).quantile(1000), 10 * kSecond) << "seed " << seed;
    }
    ASSERT_LE(granted_ns, most_ns) << "seed " << seed;
    ASSERT_LE(node.longest_wait_ns(), 5 * kSecond) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tessera::node
