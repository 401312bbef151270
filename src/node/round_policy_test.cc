#include "node/round_policy.h"

#include <gtest/gtest.h>

namespace tessera::node {
namespace {

TEST(RoundPolicy, AShareBecomesTheCeiling) {
  SliceDevice part;
  part.compute.share_permille = 300;
  part.compute.priority = scheduling::PriorityClass::kHigh;
  const SliceDevice confined = confined_part(part);
  EXPECT_EQ(confined.compute.cap_permille, 300u);
  EXPECT_EQ(confined.compute.priority, scheduling::PriorityClass::kHigh);
  EXPECT_TRUE(check_compute(confined.compute).ok());
}

TEST(RoundPolicy, WithoutAShareItComesLast) {
  SliceDevice part;
  part.compute.priority = scheduling::PriorityClass::kRealtime;
  part.compute.target_wait_ns = 1'000'000;
  const SliceDevice confined = confined_part(part);
  EXPECT_EQ(confined.compute.priority, scheduling::PriorityClass::kIdle);
  EXPECT_EQ(confined.compute.target_wait_ns, 0u);
  EXPECT_EQ(confined.compute.cap_permille, scheduling::kWhole);
  EXPECT_TRUE(check_compute(confined.compute).ok());
}

TEST(RoundPolicy, Names) {
  EXPECT_EQ(parse_round_policy("warn"), RoundPolicy::kWarn);
  EXPECT_EQ(parse_round_policy("hard"), RoundPolicy::kHard);
  EXPECT_EQ(parse_round_policy("stop"), RoundPolicy::kStop);
  EXPECT_FALSE(parse_round_policy("").has_value());
}

}  // namespace
}  // namespace tessera::node
