#include "remote/link/send_rate.h"

#include <gtest/gtest.h>

namespace tessera::remote {
namespace {

constexpr uint64_t kStep = SendRate::kSampleBytes;

// `steps` samples of a way that takes `ns` for each, of which `worked` are ours.
void go(SendRate& rate, uint64_t& had, uint64_t& now, int steps, uint64_t ns, uint64_t worked = 0) {
  for (int i = 0; i < steps; ++i) {
    rate.worked(worked);
    rate.look(had += kStep, now += ns);
  }
}

TEST(SendRate, FollowsTheWay) {
  SendRate rate;
  uint64_t had = 0, now = 1;
  EXPECT_EQ(rate.bytes_per_second(), 0);
  rate.begin();
  rate.look(had, now);
  go(rate, had, now, 20, 10'000'000);
  EXPECT_NEAR(rate.bytes_per_second(), kStep * 100, kStep);
  go(rate, had, now, 40, 1'000'000);
  EXPECT_NEAR(rate.bytes_per_second(), kStep * 1000, kStep * 10);
}

TEST(SendRate, PausesBetweenPayloadsSayNothing) {
  SendRate rate;
  uint64_t had = 0, now = 1;
  rate.look(had, now);
  go(rate, had, now, 20, 10'000'000);
  const double before = rate.bytes_per_second();
  rate.begin();
  now += 3'600'000'000'000;
  rate.look(had, now);
  go(rate, had, now, 1, 10'000'000);
  EXPECT_NEAR(rate.bytes_per_second(), before, 1);
}

// Or what is slow because we compress would be compressed for ever.
TEST(SendRate, WhereWeAreTheOnesWhoTakeLongTheWayIsTakenForFaster) {
  SendRate rate;
  uint64_t had = 0, now = 1;
  rate.look(had, now);
  go(rate, had, now, 20, 10'000'000);
  go(rate, had, now, 20, 10'000'000, 9'000'000);
  EXPECT_GT(rate.bytes_per_second(), 10 * kStep * 100);
}

TEST(SendRate, NonsenseChangesNothing) {
  SendRate rate;
  rate.look(100, 100);
  rate.look(0, 200);
  rate.look(100 + kStep, 100);
  EXPECT_EQ(rate.bytes_per_second(), 0);
}

}  // namespace
}  // namespace tessera::remote
