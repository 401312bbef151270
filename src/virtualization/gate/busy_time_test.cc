#include "virtualization/gate/busy_time.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace tessera::vgpu {
namespace {

TEST(BusyTime, CountsEachMomentOnce) {
  BusyTime busy;
  EXPECT_EQ(busy.add(10, 20), 10u);
  EXPECT_EQ(busy.add(10, 20), 0u);
  EXPECT_EQ(busy.add(30, 40), 10u);
  EXPECT_EQ(busy.add(15, 35), 10u);  // closes the gap
  EXPECT_EQ(busy.add(0, 50), 20u);
  EXPECT_EQ(busy.add(50, 60), 10u);  // touches
  EXPECT_EQ(busy.add(7, 7), 0u);
  EXPECT_EQ(busy.add(70, 65), 0u);
}

TEST(BusyTime, AgreesWithAFlagForEachMoment) {
  std::mt19937 random(7);
  for (int run = 0; run < 200; ++run) {
    BusyTime busy;
    std::vector<bool> moments(400);
    for (int i = 0; i < 40; ++i) {
      const auto start = random() % 380;
      const auto end = start + random() % 20;
      uint64_t fresh = 0;
      for (auto moment = start; moment < end; ++moment) {
        fresh += moments[moment] ? 0 : 1;
        moments[moment] = true;
      }
      ASSERT_EQ(busy.add(start, end), fresh) << "run " << run << ", " << start << " to " << end;
    }
  }
}

TEST(BusyTime, KeepsABoundedPast) {
  BusyTime busy;
  for (uint64_t i = 0; i < 10 * BusyTime::kKept; ++i) EXPECT_EQ(busy.add(10 * i, 10 * i + 5), 5u);
  EXPECT_EQ(busy.add(0, 5), 0u);  // long ago: taken to be covered
}

}  // namespace
}  // namespace tessera::vgpu
