// The ledger across restarts: what is granted never exceeds the limits, whatever processes claim.
#include <gtest/gtest.h>

#include <random>

#include "common/size.h"
#include "node/broker.h"

namespace tessera::node {
namespace {

constexpr uint64_t kTotal = 1000;

Token token_of(uint8_t byte) {
  Token token;
  token.fill(byte);
  return token;
}

SliceRequest request_of(uint8_t token, uint64_t bytes) {
  SliceRequest request;
  request.program = "app";
  request.token = token_of(token);
  request.gpus = {0};
  request.memory_bytes = {bytes};
  return request;
}

// What a restarted daemon has: every slice, and the leases of `alive` as awaited.
Ledger restarted(const Ledger& before, const std::set<LeaseId>& alive) {
  Ledger ledger;
  ledger.set_gpu_totals(before.gpu_totals());
  for (const auto& [id, slice] : before.slices()) EXPECT_TRUE(ledger.restore_slice(slice).ok());
  for (const auto& [id, lease] : before.leases()) {
    if (!alive.contains(id)) continue;
    Lease again = lease;
    if (again.life == LeaseLife::kAttached) again.life = LeaseLife::kAwaited;
    EXPECT_TRUE(ledger.restore_lease(again).ok());
  }
  return ledger;
}

class RestartTest : public ::testing::Test {
 protected:
  RestartTest() {
    ledger_.set_gpu_totals({kTotal});
    slice_ = *ledger_.open_slice(request_of(1, 100), 0);
    a_ = *ledger_.open_lease(token_of(1), 0, {100, 1}, 0);
    b_ = *ledger_.open_lease(token_of(1), 0, {101, 1}, 0);
    EXPECT_EQ(ledger_.grant(a_, 0, 40, 40), 40U);
  }
  Ledger ledger_;
  SliceId slice_ = 0;
  LeaseId a_ = 0;
  LeaseId b_ = 0;
};

TEST_F(RestartTest, NothingIsGrantedWhileAProcessIsAwaited) {
  Ledger again = restarted(ledger_, {a_, b_});
  EXPECT_EQ(again.find_slice(slice_)->devices[0].granted_bytes, 40U);
  again.set_life(b_, LeaseLife::kAttached);
  EXPECT_EQ(again.grant(b_, 0, 1, 1), 0U);
  again.set_life(a_, LeaseLife::kAttached);
  EXPECT_EQ(again.grant(b_, 0, 61, 61), 0U);
  EXPECT_EQ(again.grant(b_, 0, 60, 60), 60U);
  EXPECT_TRUE(again.check().ok());
}

TEST_F(RestartTest, AClaimIsBookedWithinTheLimitOnly) {
  Ledger again = restarted(ledger_, {a_, b_});
  EXPECT_EQ(again.claim(b_, std::array<uint64_t, 1>{61}).code(), Code::kInvalidData);
  EXPECT_EQ(again.claim(b_, std::array<uint64_t, 1>{UINT64_MAX}).code(), Code::kInvalidData);
  EXPECT_EQ(again.claim(b_, std::array<uint64_t, 2>{1, 1}).code(), Code::kInvalidData);
  EXPECT_EQ(again.find_slice(slice_)->devices[0].granted_bytes, 40U);
  EXPECT_TRUE(again.claim(b_, std::array<uint64_t, 1>{60}).ok());
  EXPECT_TRUE(again.claim(a_, std::array<uint64_t, 1>{10}).ok()) << "given back while nobody listened";
  EXPECT_EQ(again.find_slice(slice_)->devices[0].granted_bytes, 70U);
  EXPECT_TRUE(again.check().ok());
}

TEST_F(RestartTest, WhatCannotBeIsRefused) {
  Ledger again = restarted(ledger_, {a_});
  Slice twice = *ledger_.find_slice(slice_);
  EXPECT_FALSE(again.restore_slice(twice).ok());
  twice.id = 9;
  twice.name = "other";
  EXPECT_FALSE(again.restore_slice(twice).ok()) << "the same token";
  twice.token = token_of(2);
  twice.devices[0].limit_bytes = kTotal;
  EXPECT_FALSE(again.restore_slice(twice).ok()) << "more than is left of the GPU";
  Lease lease = *ledger_.find_lease(a_);
  EXPECT_FALSE(again.restore_lease(lease).ok());
  lease.id = 9;
  lease.devices[0].granted_bytes = UINT64_MAX;
  EXPECT_FALSE(again.restore_lease(lease).ok());
  lease.devices.resize(2);
  EXPECT_FALSE(again.restore_lease(lease).ok());
  lease.slice = 8;
  EXPECT_FALSE(again.restore_lease(lease).ok());
  EXPECT_TRUE(again.check().ok());
}

// Slices that were admitted when others needed less are there after a restart, whatever those need by then.
TEST_F(RestartTest, SlicesThatCountWithTheirNeedsAreTakenOver) {
  Ledger before;
  before.set_gpu_totals({kTotal});
  before.count_needs();
  const SliceId first = *before.open_slice(request_of(1, 900), 0);
  before.set_need(first, 0, 100);
  const SliceId second = *before.open_slice(request_of(2, 900), 0);
  before.set_need(first, 0, 800);
  Ledger again;
  again.set_gpu_totals({kTotal});
  again.count_needs();
  for (const auto& [id, slice] : before.slices()) EXPECT_TRUE(again.restore_slice(slice).ok());
  EXPECT_EQ(again.find_slice(first)->devices[0].need_bytes, 800u);
  EXPECT_EQ(again.find_slice(second)->devices[0].need_bytes, std::nullopt);
  EXPECT_TRUE(again.check().ok());
}

TEST_F(RestartTest, ARequestWaitsForTheAwaitedAndNotForEver) {
  Ledger again = restarted(ledger_, {a_, b_});
  Broker broker(again);
  Effects effects;
  for (LeaseId id : {a_, b_}) broker.disconnect(id, 0, effects);
  again.set_life(b_, LeaseLife::kAttached);
  broker.reattach(b_, 0, effects);
  ASSERT_TRUE(broker.reserve(b_, 1, {0, 10, 10}, 0, effects).ok());
  broker.expire(kAwaitedTimeoutNs - 1, effects);
  EXPECT_TRUE(effects.answers.empty());
  EXPECT_EQ(broker.next_deadline_ns(), kAwaitedTimeoutNs);
  broker.expire(kAwaitedTimeoutNs, effects);
  ASSERT_EQ(effects.answers.size(), 1U);
  EXPECT_EQ(effects.answers[0].granted_bytes, 0U);
  ASSERT_TRUE(broker.reserve(b_, 2, {0, 10, 10}, kAwaitedTimeoutNs, effects).ok());
  EXPECT_FALSE(broker.close(a_, kAwaitedTimeoutNs, effects));
  ASSERT_EQ(effects.answers.size(), 2U);
  EXPECT_EQ(effects.answers[1].granted_bytes, 10U);
}

// A walk with restarts: processes hold what they were granted less what they gave back, some messages are
// lost with the daemon, some processes die with it. What living processes truly hold stays within the limit.
TEST(Restart, WhatIsHeldNeverExceedsTheLimit) {
  constexpr uint64_t kLimit = 100;
  std::mt19937 dice(3);
  Ledger ledger;
  ledger.set_gpu_totals({kTotal});
  for (uint8_t i = 1; i <= 3; ++i) ASSERT_TRUE(ledger.open_slice(request_of(i, kLimit), 0).ok());
  std::map<LeaseId, uint64_t> held;  // of each living process
  pid_t next_pid = 100;
  int restarts = 0;
  int granted_after = 0;
  for (int step = 0; step < 50'000; ++step) {
    auto any = held.begin();
    if (!held.empty()) std::advance(any, dice() % held.size());
    switch (dice() % 12) {
      case 0:
        if (held.size() < 12) {
          auto token = token_of(static_cast<uint8_t>(1 + dice() % 3));
          held[*ledger.open_lease(token, 0, {next_pid++, 1}, 0)] = 0;
        }
        break;
      case 1:
        if (held.empty()) break;
        (void)ledger.close_lease(any->first);
        held.erase(any);
        break;
      case 2: {  // the daemon restarts; some processes end meanwhile, some give back what it never hears of
        std::set<LeaseId> alive;
        for (auto process = held.begin(); process != held.end();) {
          if (dice() % 5 == 0) {
            process = held.erase(process);
            continue;
          }
          if (dice() % 3 == 0) process->second -= dice() % (process->second + 1);
          alive.insert(process->first);
          ++process;
        }
        ledger = restarted(ledger, alive);
        ++restarts;
        break;
      }
      case 3:
      case 4:
      case 5:  // one attaches again, or lies
        if (held.empty() || ledger.find_lease(any->first)->life != LeaseLife::kAwaited) break;
        (void)ledger.claim(any->first, std::array<uint64_t, 1>{UINT64_MAX - dice() % 2 * dice()});
        ASSERT_TRUE(ledger.claim(any->first, std::array<uint64_t, 1>{any->second}).ok());
        ledger.set_life(any->first, LeaseLife::kAttached);
        break;
      case 6:
      case 7:
        if (held.empty() || ledger.find_lease(any->first)->life != LeaseLife::kAttached) break;
        if (uint64_t back = dice() % (any->second + 1); ledger.give_back(any->first, 0, back).ok())
          any->second -= back;
        break;
      default:
        if (held.empty() || ledger.find_lease(any->first)->life != LeaseLife::kAttached) break;
        uint64_t needed = 1 + dice() % 40;
        uint64_t granted = ledger.grant(any->first, 0, needed, needed + dice() % 20);
        any->second += granted;
        if (restarts > 0 && granted > 0) ++granted_after;
    }
    ASSERT_TRUE(ledger.check().ok()) << ledger.check().message();
    std::map<SliceId, uint64_t> sums;
    for (const auto& [id, bytes] : held) sums[ledger.find_lease(id)->slice] += bytes;
    for (const auto& [slice, sum] : sums) ASSERT_LE(sum, kLimit);
  }
  EXPECT_GT(restarts, 100);
  EXPECT_GT(granted_after, 100);
}

}  // namespace
}  // namespace tessera::node
