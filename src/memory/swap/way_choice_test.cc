#include "memory/swap/way_choice.h"

#include <gtest/gtest.h>

#include <random>

namespace tessera::memory {
namespace {

constexpr uint64_t kBatch = uint64_t{32} << 20;

struct Ways {
  double neighbour, host;  // bytes a nanosecond
  double of(PageWay way) const { return way == PageWay::kNeighbour ? neighbour : host; }
};

// How many of so many batches went to the neighbour.
int to_neighbour(WayChoice& choice, const Ways& ways, int batches, std::mt19937& random) {
  int count = 0;
  for (int i = 0; i < batches; ++i) {
    const PageWay way = choice.next();
    count += way == PageWay::kNeighbour ? 1 : 0;
    const auto took = [&] {
      return static_cast<uint64_t>(kBatch / ways.of(way) * std::uniform_real_distribution(0.9, 1.1)(random));
    };
    choice.moved_out(way, kBatch, took());
    choice.moved_in(way, kBatch, took());
  }
  return count;
}

TEST(WayChoice, TakesWhatIsFasterAndGoesOnLooking) {
  std::mt19937 random(1);
  WayChoice choice;
  EXPECT_GT(to_neighbour(choice, {40, 20}, 1000, random), 950);
  // The neighbour's link is taken by others, then free again.
  EXPECT_LT(to_neighbour(choice, {10, 20}, 1000, random), 100);
  EXPECT_GT(to_neighbour(choice, {100, 20}, 1000, random), 800);
}

TEST(WayChoice, ANeighbourThatIsNoFasterIsLeftAlone) {
  std::mt19937 random(2);
  WayChoice choice;
  EXPECT_LT(to_neighbour(choice, {20, 20}, 1000, random), 60);
  WayChoice far;
  EXPECT_LT(to_neighbour(far, {2, 20}, 3200, random), 15) << "what is hopeless is tried seldom";
}

TEST(WayChoice, WhatIsAskedForHolds) {
  std::mt19937 random(3);
  WayChoice always(NeighbourUse::kAlways), never(NeighbourUse::kNever);
  EXPECT_EQ(to_neighbour(always, {1, 20}, 100, random), 100);
  EXPECT_EQ(to_neighbour(never, {100, 20}, 100, random), 0);
  for (const NeighbourUse use : {NeighbourUse::kAuto, NeighbourUse::kAlways, NeighbourUse::kNever})
    EXPECT_EQ(parse_neighbour_use(neighbour_use_name(use)), use);
  EXPECT_FALSE(parse_neighbour_use("sometimes").has_value());
}

TEST(WayChoice, SmallMovesTeachNothing) {
  WayChoice choice;
  choice.moved_out(PageWay::kNeighbour, WayChoice::kLeastBytes - 1, 1);
  EXPECT_FALSE(choice.ns_per_byte(PageWay::kNeighbour).has_value());
}

}  // namespace
}  // namespace tessera::memory
