#include "node/swap_space.h"

#include <gtest/gtest.h>

namespace tessera::node {
namespace {

class SwapSpaceTest : public testing::Test {
 protected:
  SwapSpaceTest() { space_.set_bound(1000); }
  void attach(LeaseId lease, uint64_t held = 0) {
    space_.open(lease, 1);
    const uint64_t bytes[] = {held};
    ASSERT_TRUE(space_.attach(lease, bytes).ok());
  }
  uint64_t reserve(LeaseId lease, uint64_t needed, uint64_t wanted,
                   SwapSpace::For what = SwapSpace::For::kGrowth) {
    return space_.reserve(lease, {0, needed, wanted, vgpu::BudgetKind::kSwap, 0}, what).value();
  }

  SwapSpace space_;
};

TEST_F(SwapSpaceTest, GrantsWhatThereIs) {
  attach(1);
  attach(2);
  EXPECT_EQ(reserve(1, 100, 600), 600u);
  EXPECT_EQ(reserve(2, 100, 600), 150u) << "up to what is kept for exchanges";
  EXPECT_EQ(reserve(2, 100, 600), 0u);
  ASSERT_TRUE(space_.release(1, 0, 600).ok());
  EXPECT_EQ(reserve(2, 100, 600), 600u);
}

TEST_F(SwapSpaceTest, AnExchangeHasRoomWhereNothingElseHas) {
  attach(1);
  EXPECT_EQ(reserve(1, 750, 750), 750u);
  EXPECT_EQ(reserve(1, 1, 1), 0u);
  EXPECT_EQ(reserve(1, 100, 400, SwapSpace::For::kExchange), 250u);
  EXPECT_EQ(reserve(1, 1, 1, SwapSpace::For::kExchange), 0u);
}

TEST_F(SwapSpaceTest, WhoEndsGivesAllBack) {
  attach(1);
  EXPECT_EQ(reserve(1, 700, 700), 700u);
  space_.close(1);
  EXPECT_EQ(space_.used_bytes(), 0u);
}

TEST_F(SwapSpaceTest, AfterARestartNothingIsGrantedBeforeEachHasSaidWhatItHolds) {
  attach(1);
  space_.open(2, 1);
  EXPECT_EQ(reserve(1, 1, 1), 0u);
  const uint64_t held[] = {700};
  ASSERT_TRUE(space_.attach(2, held).ok());
  EXPECT_EQ(reserve(1, 1, 100), 50u);
  const uint64_t too_much[] = {1000};
  EXPECT_FALSE(space_.attach(2, too_much).ok());
  EXPECT_EQ(space_.used_bytes(), 750u);
}

TEST_F(SwapSpaceTest, BrokenRules) {
  EXPECT_FALSE(space_.release(1, 0, 1).ok());
  attach(1);
  EXPECT_FALSE(space_.release(1, 0, 1).ok());
  EXPECT_FALSE(space_.release(1, 1, 0).ok());
  EXPECT_FALSE(space_.reserve(1, {1, 1, 1, vgpu::BudgetKind::kSwap, 0}, SwapSpace::For::kGrowth).ok());
}

}  // namespace
}  // namespace tessera::node
