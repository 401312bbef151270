#include "scheduling/qos/wait_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "scheduling/random.h"

namespace tessera::scheduling {
namespace {

TEST(WaitHistogram, QuantilesAreRightWithinAnEighth) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    WaitHistogram histogram;
    std::vector<Nanoseconds> waits;
    const uint64_t count = random.between(1, 3000), mean = random.between(2, 1000) * 10 * kMicrosecond;
    for (uint64_t i = 0; i < count; ++i) {
      waits.push_back(kMicrosecond * 2 + random.exponential(mean));
      histogram.add(waits.back());
    }
    std::sort(waits.begin(), waits.end());
    for (uint32_t permille : {1u, 500u, 900u, 990u, 1000u}) {
      const Nanoseconds exact = waits[std::max<uint64_t>((count * permille + 999) / 1000, 1) - 1];
      EXPECT_GE(histogram.quantile(permille), exact) << seed;
      EXPECT_LE(histogram.quantile(permille), exact + exact / 8) << seed;
    }
  }
}

TEST(WaitHistogram, TheEndsOfTheScale) {
  WaitHistogram histogram;
  EXPECT_EQ(histogram.quantile(990), 0u);
  histogram.add(0);
  EXPECT_EQ(histogram.quantile(990), 0u);
  histogram.add(kNever);
  EXPECT_EQ(histogram.quantile(1000), kNever);
  EXPECT_EQ(histogram.count(), 2u);
}

TEST(RecentWaits, AreForgottenAfterTwoTurns) {
  RecentWaits recent;
  recent.add(kSecond, 5 * kSecond);
  recent.add(kMillisecond, 15 * kSecond);
  EXPECT_EQ(recent.histogram(15 * kSecond).count(), 2u);
  EXPECT_EQ(recent.histogram(25 * kSecond).quantile(1000), kMillisecond);
  EXPECT_EQ(recent.histogram(30 * kSecond).count(), 0u);
  recent.add(kMicrosecond, 60 * kSecond);
  EXPECT_EQ(recent.histogram(60 * kSecond).count(), 1u);
}

}  // namespace
}  // namespace tessera::scheduling
