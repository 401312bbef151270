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

}  // namespace
}  // namespace tessera::node
