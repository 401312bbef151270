#include "memory/reclaim/moving_speed.h"

#include <gtest/gtest.h>

namespace tessera::memory {
namespace {

using Way = MovingSpeed::Way;
constexpr uint64_t kMib = uint64_t{1} << 20, kSecond = 1'000'000'000;

TEST(MovingSpeed, GuessesUntilSomethingHasMoved) {
  MovingSpeed speed;
  EXPECT_EQ(speed.exchange_ns(1000), 500u);
  EXPECT_EQ(speed.bytes_per_second(Way::kOut), 0u);
  speed.moved(Way::kOut, MovingSpeed::kLeastBytes - 1, kSecond);
  EXPECT_EQ(speed.bytes_per_second(Way::kOut), 0u) << "most of that was what is said about it";
}

TEST(MovingSpeed, AnExchangeTakesWhatTheSlowerWayTakes) {
  MovingSpeed speed;
  speed.moved(Way::kOut, 100 * kMib, kSecond);
  EXPECT_EQ(speed.exchange_ns(200 * kMib), 2 * kSecond);
  speed.moved(Way::kIn, 50 * kMib, kSecond);
  EXPECT_EQ(speed.exchange_ns(200 * kMib), 4 * kSecond);
  EXPECT_EQ(speed.bytes_per_second(Way::kIn), 50 * kMib);
  EXPECT_EQ(speed.bytes_per_second(Way::kOut), 100 * kMib);
}

TEST(MovingSpeed, FollowsWhatItWasOfLate) {
  MovingSpeed speed;
  for (int move = 0; move < 20; ++move) speed.moved(Way::kIn, 100 * kMib, kSecond);
  for (int move = 0; move < 20; ++move) speed.moved(Way::kIn, 100 * kMib, 2 * kSecond);
  EXPECT_NEAR(static_cast<double>(speed.exchange_ns(100 * kMib)), 2.0 * kSecond, 0.02 * kSecond);
}

TEST(MovingSpeed, LargeMovesSayMoreThanSmallOnes) {
  MovingSpeed speed;
  speed.moved(Way::kIn, 4000 * kMib, 4 * kSecond);
  speed.moved(Way::kIn, 20 * kMib, kSecond);
  EXPECT_LT(speed.exchange_ns(1000 * kMib), 2 * kSecond);
}

}  // namespace
}  // namespace tessera::memory
