#include "memory/reclaim/need_forecast.h"

#include <gtest/gtest.h>

namespace tessera::memory {
namespace {

constexpr uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;

TEST(NeedForecast, WhoGrowsGoesOnForAsLongAgain) {
  NeedForecast forecast;
  for (uint64_t i = 1; i <= 100; ++i) forecast.grew(1000, 0, i * 100 * kMs);
  const uint64_t growth = forecast.growth_bytes(10 * kSecond);
  EXPECT_GT(growth, 10'000u) << "more than in one second";
  EXPECT_LT(growth, 20'000u) << "less than in two";
}

TEST(NeedForecast, WhoHasStoppedNeedsNoMore) {
  NeedForecast forecast;
  forecast.grew(1 << 20, 0, kSecond);
  EXPECT_EQ(forecast.growth_bytes(kSecond), uint64_t{1} << 20);
  EXPECT_EQ(forecast.growth_bytes(2 * kSecond), uint64_t{1} << 19);
  EXPECT_LT(forecast.growth_bytes(30 * kSecond), 4096u);
}

TEST(NeedForecast, WhoWaitsHasNotStopped) {
  NeedForecast waits, works;
  for (NeedForecast* each : {&waits, &works}) each->grew(1000, 0, kSecond);
  waits.grew(1000, 8 * kSecond, 9 * kSecond);
  works.grew(1000, 0, 9 * kSecond);
  EXPECT_EQ(waits.growth_bytes(9 * kSecond), 2000u);
  EXPECT_LT(works.growth_bytes(9 * kSecond), 1010u);
}

TEST(NeedForecast, WhatIsGivenBackWasNoGrowth) {
  NeedForecast forecast;
  for (uint64_t i = 1; i <= 50; ++i) {
    forecast.grew(1000, 0, i * kMs);
    forecast.shrank(1000);
  }
  EXPECT_EQ(forecast.growth_bytes(50 * kMs), 0u);
  forecast.shrank(5000);
  forecast.grew(10, 0, 51 * kMs);
  EXPECT_EQ(forecast.growth_bytes(51 * kMs), 10u);
}

}  // namespace
}  // namespace tessera::memory
