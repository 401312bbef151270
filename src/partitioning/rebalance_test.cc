#include "partitioning/rebalance.h"

#include <gtest/gtest.h>

#include "common/size.h"
#include "scheduling/random.h"

namespace tessera::partitioning {
namespace {

std::vector<GpuState> gpus(size_t count) {
  GpuState state;
  state.memory_bytes = 16 * kGiB;
  state.sm_count = 8;
  state.control = SmControl::kSets;
  return std::vector<GpuState>(count, state);
}

SlicePart part(uint32_t gpu, uint32_t share_permille = 0, uint64_t bytes = 0, const char* sms = "") {
  SlicePart part;
  part.gpu = gpu;
  part.movable = true;
  part.compute.share_permille = part.part.share_permille = share_permille;
  part.part.reserved_bytes = bytes;
  if (*sms != '\0') part.part.sms = *IndexSet::parse(sms);
  return part;
}

TEST(Rebalance, WhoWouldHaveMoreElsewhereMoves) {
  const std::vector<SlicePart> parts = {part(0), part(0), part(0)};
  const Rebalance plan = plan_moves(gpus(2), parts);
  ASSERT_EQ(plan.moves.size(), 1u) << "a second would have no more there";
  EXPECT_EQ(plan.moves[0].to, 1u);
  // A third of 60 s before, 59.5 s after.
  EXPECT_NEAR(plan.moves[0].gain_seconds, 39.5, 0.01);
  EXPECT_NE(plan.moves[0].reason.find("33.3 % of GPU 0, 100.0 % of GPU 1"), std::string::npos)
      << plan.moves[0].reason;
  EXPECT_EQ(plan.load_before, std::vector<double>({3, 0}));
  EXPECT_EQ(plan.load_after, std::vector<double>({2, 1}));
  EXPECT_EQ(plan.stays[1], "no other GPU would give it more");
}

TEST(Rebalance, NobodyMovesWhereNothingIsGained) {
  EXPECT_TRUE(plan_moves(gpus(2), std::vector<SlicePart>{part(0), part(1)}).moves.empty());
  EXPECT_TRUE(plan_moves(gpus(1), std::vector<SlicePart>{part(0), part(0)}).moves.empty());
  EXPECT_TRUE(plan_moves(gpus(2), {}).moves.empty());
  scheduling::MoveTerms dear;
  dear.pause_ns = 60 * scheduling::kSecond;
  EXPECT_TRUE(plan_moves(gpus(2), std::vector<SlicePart>{part(0), part(0)}, dear).moves.empty());
}

TEST(Rebalance, WhoHasProcessesStays) {
  std::vector<SlicePart> parts = {part(0), part(0), part(0)};
  parts[0].movable = parts[2].movable = false;
  const Rebalance plan = plan_moves(gpus(2), parts);
  ASSERT_EQ(plan.moves.size(), 1u);
  EXPECT_EQ(plan.moves[0].part, 1u);
}

TEST(Rebalance, CeilingsWantNoMoreThanTheyMayHave) {
  SlicePart half = part(0, 500);
  half.compute.cap_permille = 500;
  EXPECT_TRUE(plan_moves(gpus(2), std::vector<SlicePart>{half, half}).moves.empty()) << "both have it";
}

TEST(Rebalance, AShareInSpaceGetsItsSms) {
  const Rebalance plan =
      plan_moves(gpus(2), std::vector<SlicePart>{part(0, 500, kGiB, "4-7"), part(0, 250, kGiB, "0-1")});
  ASSERT_EQ(plan.moves.size(), 1u);
  EXPECT_EQ(plan.moves[0].sms.text(), plan.moves[0].part == 0 ? "0-3" : "0-1");
}

TEST(Rebalance, WhatHasNoRoomThereStays) {
  const std::vector<SlicePart> parts = {part(0, 0, 8 * kGiB), part(0, 0, 8 * kGiB), part(1, 0, 12 * kGiB)};
  EXPECT_TRUE(plan_moves(gpus(2), parts).moves.empty());
}

TEST(Rebalance, AClosedGpuIsLeftAndNotGoneTo) {
  auto state = gpus(2);
  state[0].unusable = "quarantined: 1 error";
  const Rebalance plan = plan_moves(state, std::vector<SlicePart>{part(0), part(1), part(1)});
  ASSERT_EQ(plan.moves.size(), 1u);
  EXPECT_EQ(plan.moves[0].part, 0u);
  EXPECT_NE(plan.moves[0].reason.find("GPU 0 is quarantined"), std::string::npos);
}

// Whatever there is: nothing is promised twice, no part moves twice, and the fullest GPU gets no fuller.
TEST(Rebalance, HoldsForEverySeed) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    scheduling::Random random(seed);
    auto state = gpus(random.between(1, 5));
    std::vector<SlicePart> parts;
    auto placed = state;
    for (uint64_t i = 0; i < random.between(1, 30); ++i) {
      SlicePart next = part(static_cast<uint32_t>(random.below(state.size())), 0, random.below(4) * kGiB);
      if (random.one_in(2)) next.compute.share_permille = static_cast<uint32_t>(random.between(1, 4)) * 125;
      next.part.share_permille = next.compute.share_permille;
      next.movable = !random.one_in(3);
      auto sms = plan_part(placed[next.gpu], next.gpu, {next.part.reserved_bytes, next.compute});
      if (!sms.ok()) continue;
      next.part.sms = *sms;
      placed[next.gpu].parts.push_back(next.part);
      parts.push_back(next);
    }
    const Rebalance plan = plan_moves(state, parts);
    std::vector<bool> moved(parts.size());
    for (const Rebalance::Move& move : plan.moves) {
      ASSERT_TRUE(parts[move.part].movable && !moved[move.part]) << seed;
      ASSERT_GT(move.gain_seconds, 0) << seed;
      moved[move.part] = true;
      parts[move.part].gpu = move.to;
      parts[move.part].part.sms = move.sms;
    }
    for (const SlicePart& each : parts) {
      const partitioning::PartRequest request = {each.part.reserved_bytes, each.compute};
      ASSERT_LE(request.memory_bytes, state[each.gpu].unreserved_bytes()) << seed;
      ASSERT_TRUE(check_sms(state[each.gpu], each.gpu, each.compute, each.part.sms).ok()) << seed;
      state[each.gpu].parts.push_back(each.part);
    }
    ASSERT_LE(*std::max_element(plan.load_after.begin(), plan.load_after.end()),
              *std::max_element(plan.load_before.begin(), plan.load_before.end()) + 1e-9)
        << seed;
  }
}

}  // namespace
}  // namespace tessera::partitioning
