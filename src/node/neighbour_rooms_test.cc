#include "node/neighbour_rooms.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>

namespace tessera::node {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30, kSecond = 1'000'000'000;
using vgpu::BudgetKind;

class NeighbourRoomsTest : public testing::Test {
 protected:
  void attach(LeaseId lease, std::vector<NeighbourRooms::Held> held = std::vector<NeighbourRooms::Held>(1)) {
    rooms_.open(lease, held.size());
    rooms_.attach(lease, held, now_ns_, effects_);
  }
  void set_gpu(uint32_t gpu, uint64_t taken) { rooms_.set_gpu(gpu, 16 * kGiB, taken, now_ns_, effects_); }
  uint64_t reserve(LeaseId lease, uint32_t gpu, uint64_t bytes) {
    const auto granted = rooms_.reserve(lease, {0, bytes, bytes, BudgetKind::kNeighbour, 0, ""}, gpu);
    EXPECT_TRUE(granted.ok());
    return granted.ok() ? *granted : 0;
  }
  void recalled(const RecallOrder& order, uint64_t bytes, bool more = false) {
    ASSERT_TRUE(rooms_
                    .recalled(order.lease, order.number,
                              {order.device, bytes, BudgetKind::kNeighbour, 0, more}, now_ns_, effects_)
                    .ok());
    ASSERT_TRUE(rooms_.check().ok()) << rooms_.check().message();
  }
  std::vector<RecallOrder> take_recalls() { return std::exchange(effects_.recalls, {}); }
  void pass(uint64_t ns) {
    now_ns_ += ns;
    rooms_.expire(now_ns_, effects_);
  }

  NeighbourRooms rooms_;
  Effects effects_;
  uint64_t now_ns_ = kSecond;
};

TEST_F(NeighbourRoomsTest, WhatNobodyHasOrIsPromisedIsLentButForAPart) {
  attach(7);
  set_gpu(0, 16 * kGiB);
  set_gpu(1, 12 * kGiB);
  EXPECT_EQ(rooms_.idle_bytes(0), 0u);
  EXPECT_EQ(rooms_.idle_bytes(1), 3 * kGiB);
  EXPECT_EQ(reserve(7, 0, kGiB), 0u);
  EXPECT_EQ(reserve(7, 1, 4 * kGiB), 0u) << "all or nothing";
  EXPECT_EQ(reserve(7, 1, 3 * kGiB), 3 * kGiB);
  EXPECT_EQ(reserve(7, 1, 1), 0u);
  EXPECT_FALSE(rooms_.reserve(7, {0, 1, 1, BudgetKind::kNeighbour, 0, ""}, 0).ok()) << "one at a time";
}

TEST_F(NeighbourRoomsTest, WhoHasMostGivesBackFirstAndNothingIsLentMeanwhile) {
  attach(7);
  attach(8);
  set_gpu(1, 0);
  ASSERT_EQ(reserve(7, 1, 9 * kGiB), 9 * kGiB);
  ASSERT_EQ(reserve(8, 1, 5 * kGiB), 5 * kGiB);
  set_gpu(1, 5 * kGiB);
  const auto recalls = take_recalls();
  ASSERT_EQ(recalls.size(), 1u);
  EXPECT_EQ(recalls[0].lease, 7u);
  EXPECT_EQ(recalls[0].bytes, 4 * kGiB);
  EXPECT_EQ(rooms_.lent_bytes(1), 14 * kGiB) << "until it has come back it is there";
  EXPECT_EQ(rooms_.coming_bytes(1), 4 * kGiB);
  EXPECT_EQ(reserve(7, 1, kGiB), 0u);
  recalled(recalls[0], kGiB, true);
  EXPECT_EQ(rooms_.coming_bytes(1), 3 * kGiB);
  recalled(recalls[0], 3 * kGiB);
  EXPECT_EQ(rooms_.lent_bytes(1), 10 * kGiB);
  EXPECT_TRUE(take_recalls().empty());
  EXPECT_FALSE(rooms_.release(7, 0, 6 * kGiB, now_ns_, effects_).ok());
}

TEST_F(NeighbourRoomsTest, WhoCannotIsAskedAgainAndWhoDoesNotAnswerIsOverdue) {
  attach(7);
  set_gpu(1, 0);
  ASSERT_EQ(reserve(7, 1, 8 * kGiB), 8 * kGiB);
  set_gpu(1, 16 * kGiB);
  recalled(take_recalls().at(0), 2 * kGiB);
  EXPECT_TRUE(take_recalls().empty()) << "not at once";
  EXPECT_EQ(rooms_.coming_bytes(1), 0u) << "nobody counts on it";
  pass(NeighbourRooms::kPauseNs);
  const auto again = take_recalls();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].bytes, 6 * kGiB);
  pass(NeighbourRooms::kReturnPatienceNs - 1);
  EXPECT_TRUE(rooms_.overdue(now_ns_).empty());
  pass(1);
  ASSERT_EQ(rooms_.overdue(now_ns_).size(), 1u);
  EXPECT_EQ(rooms_.overdue(now_ns_)[0].lease, 7u);
  EXPECT_GT(rooms_.next_deadline_ns().value(), now_ns_) << "it is not looked at again and again";
  rooms_.close(7, now_ns_, effects_);
  EXPECT_EQ(rooms_.lent_bytes(1), 0u);
  EXPECT_TRUE(rooms_.overdue(now_ns_).empty());
}

TEST_F(NeighbourRoomsTest, WhoIsCutOffIsNotAskedUntilItIsThereAgain) {
  attach(7);
  set_gpu(1, 0);
  ASSERT_EQ(reserve(7, 1, 8 * kGiB), 8 * kGiB);
  rooms_.disconnect(7);
  set_gpu(1, 16 * kGiB);
  EXPECT_TRUE(take_recalls().empty());
  pass(NeighbourRooms::kReturnPatienceNs);
  EXPECT_EQ(rooms_.overdue(now_ns_).size(), 1u);
  rooms_.attach(7, std::vector<NeighbourRooms::Held>{{1, 5 * kGiB}}, now_ns_, effects_);
  const auto recalls = take_recalls();
  ASSERT_EQ(recalls.size(), 1u);
  EXPECT_EQ(recalls[0].bytes, 5 * kGiB);
  EXPECT_TRUE(rooms_.overdue(now_ns_).empty());
}

TEST_F(NeighbourRoomsTest, AfterARestartNothingIsLentUntilAllIsKnown) {
  rooms_.open(6, 1);
  attach(7);
  set_gpu(1, 0);
  EXPECT_EQ(reserve(7, 1, kGiB), 0u);
  rooms_.attach(6, std::vector<NeighbourRooms::Held>{{1, 15 * kGiB}}, now_ns_, effects_);
  EXPECT_EQ(reserve(7, 1, kGiB), 0u);
  rooms_.close(6, now_ns_, effects_);
  EXPECT_EQ(reserve(7, 1, kGiB), kGiB);
}

// Processes that borrow, answer late or in part, are cut off and end, while what is promised changes.
TEST_F(NeighbourRoomsTest, KeepTheirInvariantsWhateverHappens) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    std::mt19937_64 random(seed);
    rooms_ = {};
    effects_ = {};
    std::map<LeaseId, uint64_t> lent;
    std::vector<RecallOrder> open;
    for (LeaseId lease = 1; lease <= 4; ++lease) attach(lease);
    for (int step = 0; step < 1000; ++step) {
      const LeaseId lease = 1 + random() % 4;
      switch (random() % 5) {
        case 0:
          set_gpu(9, random() % (18 * kGiB));
          break;
        case 1:
          lent[lease] += reserve(lease, 9, 1 + random() % (6 * kGiB));
          break;
        case 2: {
          if (open.empty()) break;
          const RecallOrder order = open.front();
          open.erase(open.begin());
          const uint64_t bytes =
              std::min(lent[order.lease], random() % 3 == 0 ? order.bytes / 2 : order.bytes);
          recalled(order, bytes);
          lent[order.lease] -= bytes;
          break;
        }
        case 3:
          if (random() % 8 != 0) break;
          rooms_.close(lease, now_ns_, effects_);
          lent[lease] = 0;
          std::erase_if(open, [&](const RecallOrder& order) { return order.lease == lease; });
          attach(lease);
          break;
        default:
          pass(random() % (2 * NeighbourRooms::kPauseNs));
      }
      for (const RecallOrder& order : take_recalls()) open.push_back(order);
      const Status holds = rooms_.check();
      ASSERT_TRUE(holds.ok()) << "seed " << seed << ": " << holds.message();
      uint64_t all = 0;
      for (const auto& [id, bytes] : lent) all += bytes;
      ASSERT_EQ(all, rooms_.lent_bytes(9));
    }
  }
}

}  // namespace
}  // namespace tessera::node
