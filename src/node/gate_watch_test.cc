#include "node/gate_watch.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "scheduling/random.h"

namespace tessera::node {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1'000 * kMs;

// Windows of a second, one after the other.
class GateWatchTest : public ::testing::Test {
 protected:
  GateStanding second(uint64_t driver_ms, uint64_t reported_ms, uint64_t turn_ms, uint64_t free_ms = 0) {
    now_ns_ += kSecond;
    return watch_.judge({now_ns_, kSecond, driver_ms * kMs, reported_ms * kMs, free_ms * kMs, turn_ms * kMs});
  }

  GateWatch watch_;
  uint64_t now_ns_ = 10 * kSecond;
};

TEST_F(GateWatchTest, WorkThatWasNotReportedIsNoticedInTheSecondWindow) {
  EXPECT_EQ(second(500, 500, 500), GateStanding::kFine);
  EXPECT_EQ(second(500, 0, 0), GateStanding::kSuspect);
  EXPECT_EQ(second(500, 0, 0), GateStanding::kRound);
}

TEST_F(GateWatchTest, OneWindowAloneIsNotEnough) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(second(900, 0, 900), GateStanding::kSuspect);
    EXPECT_EQ(second(500, 500, 500), GateStanding::kFine);
  }
}

TEST_F(GateWatchTest, AMarginIsAllowed) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(second(400, 300, 400), GateStanding::kFine);
  EXPECT_EQ(second(401, 300, 400), GateStanding::kSuspect);
  EXPECT_EQ(second(401, 300, 400), GateStanding::kRound);
}

TEST_F(GateWatchTest, WorkBeyondTheTurnIsNoticedEvenWhereItIsReported) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(second(750, 1000, 500), GateStanding::kFine);
  EXPECT_EQ(second(1000, 1000, 500), GateStanding::kSuspect);
  EXPECT_EQ(second(1000, 1000, 500), GateStanding::kSuspect);
  EXPECT_EQ(second(1000, 1000, 500), GateStanding::kRound);
}

TEST_F(GateWatchTest, AFreeGateHidesNothing) {
  for (int i = 0; i < 20; ++i) EXPECT_EQ(second(1000, 0, 0, 1000), GateStanding::kFine);
  // The turn begins within the window, and what was done while free is reported only then.
  EXPECT_EQ(second(700, 650, 400, 600), GateStanding::kFine);
}

TEST_F(GateWatchTest, ItIsForgivenAfterAWhile) {
  second(500, 0, 0);
  ASSERT_EQ(second(500, 0, 0), GateStanding::kRound);
  for (int i = 0; i < 15; ++i) EXPECT_EQ(second(0, 0, 0), GateStanding::kRound);
  EXPECT_EQ(second(500, 0, 0), GateStanding::kRound);  // from here
  for (int i = 0; i < 29; ++i) EXPECT_EQ(second(0, 0, 0), GateStanding::kRound);
  EXPECT_EQ(second(0, 0, 0), GateStanding::kFine);
}

TEST_F(GateWatchTest, TheSameTimeCountsOnce) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(watch_.judge({now_ns_ + static_cast<uint64_t>(i) * 50 * kMs, kSecond, kSecond, 0, 0, 0}),
              GateStanding::kSuspect);
  }
}

// A process that takes turns with others on a virtual clock, millisecond by millisecond, and a driver that
// samples it a little aside of the daemon's windows.
class Honest {
 public:
  explicit Honest(uint64_t seed) : random_(seed) {
    turn_ms_ = random_.between(2, 60);
    others_ms_ = random_.below(4) * random_.between(1, 60);
    load_percent_ = random_.between(1, 100);
    late_ms_ = random_.below(7);
  }

  // The next second's figures; some of what the driver counts belongs to the window before.
  WatchedWindow second() {
    WatchedWindow window;
    for (int i = 0; i < 1000; ++i) step(window);
    const uint64_t aside_ns = random_.below(60) * kMs;
    const uint64_t moved_ns = std::min(window.driver_ns, aside_ns);
    const uint64_t driver_ns = std::min(window.driver_ns - moved_ns + carried_ns_, kSecond);
    carried_ns_ = moved_ns;
    // Percents, rounded up.
    window.driver_ns = (driver_ns + 10 * kMs - 1) / (10 * kMs) * (10 * kMs);
    window.end_ns = now_ns_;
    window.window_ns = kSecond;
    return window;
  }

 private:
  void step(WatchedWindow& window) {
    now_ns_ += kMs;
    if (++at_ms_ >= turn_ms_ + others_ms_) at_ms_ = 0;
    const bool turn = at_ms_ < turn_ms_;
    const bool late = !turn && at_ms_ < turn_ms_ + late_ms_;
    if (others_ms_ == 0) {
      window.free_ns += kMs;
    } else if (turn || (late && at_ms_ < turn_ms_ + kPatienceMs)) {
      window.turn_ns += kMs;
    }
    if (!(turn || late) || random_.below(100) >= load_percent_) return;
    window.driver_ns += kMs;
    owed_ns_ += kMs;
    // While free it reports now and then; else with each order and notice.
    if (others_ms_ == 0 ? random_.one_in(250) : at_ms_ % 2 == 0) {
      window.reported_ns += owed_ns_;
      owed_ns_ = 0;
    }
  }

  static constexpr uint64_t kPatienceMs = 5;  // in which it may stop

  scheduling::Random random_;
  uint64_t now_ns_ = 0;
  uint64_t turn_ms_, others_ms_, load_percent_, late_ms_;
  uint64_t at_ms_ = 0, owed_ns_ = 0, carried_ns_ = 0;
};

TEST(GateWatch, HonestProcessesAreNeverAccused) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Honest process(seed);
    GateWatch watch;
    for (int i = 0; i < 60; ++i) {
      ASSERT_NE(watch.judge(process.second()), GateStanding::kRound) << "seed " << seed << ", second " << i;
    }
  }
}

// The same, with work beside that goes round the gate: more than the margin is always noticed, in time.
TEST(GateWatch, WorkBesideIsNoticedWithinFiveSeconds) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Honest process(seed);
    GateWatch watch;
    scheduling::Random random(seed);
    const uint64_t beside_ns = random.between(250, 800) * kMs;
    int seconds = 0;
    for (GateStanding standing{}; standing != GateStanding::kRound; ++seconds) {
      WatchedWindow window = process.second();
      // Nobody is robbed, or there is no room for that.
      if (window.free_ns > 0 || window.driver_ns + beside_ns > kSecond) break;
      window.driver_ns += beside_ns;
      ASSERT_LT(seconds, 4) << "seed " << seed;
      standing = watch.judge(window);
    }
  }
}

}  // namespace
}  // namespace tessera::node
