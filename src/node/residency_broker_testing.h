// For tests: a ResidencyBroker of one GPU, what processes say to it, and what it has answered.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "node/residency_broker.h"

namespace tessera::node {

using vgpu::BudgetKind;

inline constexpr uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
inline constexpr uint64_t kCapacity = 1000;
inline constexpr uint64_t kEnough = 100 * kMs;  // for a turn in which nothing has been moved

class ResidencyTest : public testing::Test {
 protected:
  ResidencyTest() { broker_.set_capacities({kCapacity}); }

  void open(LeaseId lease) {
    const ResidencyBroker::Promise promises[] = {{0, 0}};
    broker_.open(lease, lease, promises, now_ns_);
  }
  void attach(LeaseId lease, uint64_t held = 0) {
    open(lease);
    const uint64_t bytes[] = {held};
    ASSERT_TRUE(broker_.attach(lease, bytes, now_ns_, effects_).ok());
  }
  void reserve(LeaseId lease, uint32_t request, uint64_t bytes) { reserve(lease, request, bytes, bytes, 0); }
  // As a process does that is brought back: all that is out at once, or a part of it.
  void bring_back(LeaseId lease, uint32_t request, uint64_t out) { reserve(lease, request, out, out, out); }
  void reserve(LeaseId lease, uint32_t request, uint64_t needed, uint64_t wanted, uint64_t out) {
    const ReserveMessage message{0, needed, wanted, BudgetKind::kResident, out};
    ASSERT_TRUE(broker_.reserve(lease, request, message, now_ns_, effects_).ok());
    ASSERT_TRUE(broker_.check().ok()) << broker_.check().message();
  }
  Status recalled(const RecallOrder& order, uint64_t bytes, bool more = false) {
    out_[order.lease] += bytes;
    return broker_.recalled(order.lease, order.number,
                            {order.device, bytes, BudgetKind::kResident, out_[order.lease], more}, now_ns_,
                            effects_);
  }
  void returned(LeaseId lease) {
    out_[lease] = 0;
    ASSERT_TRUE(broker_.returned(lease, {0}, now_ns_, effects_).ok());
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
  std::map<LeaseId, uint64_t> out_;
  uint64_t now_ns_ = kSecond;
};

}  // namespace tessera::node
