#include "memory/reclaim/thrash_detector.h"

#include <gtest/gtest.h>

namespace tessera::memory {
namespace {

constexpr uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr uint64_t kMost = 10 * kSecond;  // of a turn, where it thrashes

// Every turn moves memory for so long, however long it is.
void take_turns(ThrashDetector& detector, int turns, uint64_t moving_ns, uint64_t bound_ns) {
  for (int turn = 0; turn < turns; ++turn)
    detector.turn_ended(detector.turn_ns(bound_ns, kMost, 0), moving_ns, bound_ns);
}

TEST(ThrashDetector, TurnsAreLongEnoughForMovingToBeATwentieth) {
  ThrashDetector detector({});
  EXPECT_EQ(detector.turn_ns(60 * kSecond, kMost, 100 * kMs), 1900 * kMs) << "a guess, as none was measured";
  take_turns(detector, 30, 600 * kMs, 60 * kSecond);
  EXPECT_FALSE(detector.thrashing());
  EXPECT_EQ(detector.turn_ns(60 * kSecond, kMost, 0), 19 * 600 * kMs);
  EXPECT_LE(detector.moving_percent(), 5u);
}

TEST(ThrashDetector, TurnsHaveBounds) {
  ThrashDetector detector({});
  take_turns(detector, 30, 600 * kMs, 5 * kSecond);
  EXPECT_FALSE(detector.thrashing());
  EXPECT_EQ(detector.turn_ns(5 * kSecond, kMost, 0), 5 * kSecond);
  take_turns(detector, 60, 0, 5 * kSecond);
  EXPECT_EQ(detector.turn_ns(5 * kSecond, kMost, 0), 100 * kMs);
}

TEST(ThrashDetector, BacksOffWhereTheBoundIsTooShort) {
  ThrashDetector detector({});
  detector.turn_ended(kSecond, 600 * kMs, kSecond);
  EXPECT_TRUE(detector.thrashing());
  EXPECT_EQ(detector.turn_ns(kSecond, kMost, 0), 10 * kSecond);
  take_turns(detector, 30, 600 * kMs, kSecond);
  EXPECT_FALSE(detector.thrashing()) << "tamed";
  EXPECT_EQ(detector.turn_ns(kSecond, kMost, 0), 10 * kSecond)
      << "and stays so: within the bound it would thrash again";
  take_turns(detector, 30, 10 * kMs, kSecond);
  EXPECT_LE(detector.turn_ns(kSecond, kMost, 0), kSecond) << "as moving costs little now";
}

TEST(ThrashDetector, FewWhoAskForAMomentDoNotMakeItForget) {
  ThrashDetector detector({});
  take_turns(detector, 10, 50 * kMs, 100 * kMs);
  ASSERT_EQ(detector.turn_ns(100 * kMs, kMost, 0), 19 * 50 * kMs);
  take_turns(detector, 3, 50 * kMs, kSecond);
  EXPECT_EQ(detector.turn_ns(100 * kMs, kMost, 0), 19 * 50 * kMs);
  take_turns(detector, 20, 50 * kMs, kSecond);
  EXPECT_EQ(detector.turn_ns(100 * kMs, kMost, 0), 100 * kMs) << "they have stayed few";
}

TEST(ThrashDetector, SaysSoWhereNoTurnIsLongEnough) {
  ThrashDetector detector({});
  for (int turn = 0; turn < 30; ++turn) detector.turn_ended(kSecond, 600 * kMs, kSecond);
  EXPECT_TRUE(detector.thrashing());
  EXPECT_EQ(detector.turn_ns(kSecond, kSecond, 0), kSecond);
}

// What moved of late was little, as everybody grew; what is to move now is not.
TEST(ThrashDetector, TurnsAreLongAgainstTheMoveThatComes) {
  ThrashDetector detector({});
  take_turns(detector, 10, 20 * kMs, 60 * kSecond);
  EXPECT_EQ(detector.turn_ns(60 * kSecond, kMost, kSecond), 19 * kSecond);
}

// Who comes after has not to learn it anew.
TEST(ThrashDetector, GoesOnWhereAnotherEnded) {
  ThrashDetector first({}), second({});
  for (int turn = 0; turn < 10; ++turn) first.turn_ended(200'000'000, 600'000'000, 1'000'000'000);
  ASSERT_TRUE(first.thrashing());
  second.restore(first.state());
  EXPECT_TRUE(second.thrashing());
  EXPECT_EQ(second.moving_percent(), first.moving_percent());
  EXPECT_EQ(second.turn_ns(1'000'000'000, kMost, 0), first.turn_ns(1'000'000'000, kMost, 0));
  ThrashDetector fresh({});
  fresh.restore(ThrashDetector({}).state());
  EXPECT_EQ(fresh.turn_ns(1'000'000'000, kMost, 10'000'000),
            ThrashDetector({}).turn_ns(1'000'000'000, kMost, 10'000'000));
}

}  // namespace
}  // namespace tessera::memory
