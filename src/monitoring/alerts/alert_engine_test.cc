#include "monitoring/alerts/alert_engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace tessera::monitoring {
namespace {

const Subject kTrain{"train", 0};

AlertRule above(double bound, std::optional<double> clear = {}, int64_t for_ms = 0) {
  AlertRule rule;
  rule.name = "full";
  rule.metric = "used";
  rule.above = bound;
  rule.clear = clear;
  rule.for_ms = for_ms;
  return rule;
}

// One sample of one figure; the states that alerts changed to.
std::vector<AlertState> step(AlertEngine& engine, int64_t now_ms, double value,
                             const Subject& subject = kTrain) {
  engine.add(subject, "used", value, now_ms);
  std::vector<AlertState> states;
  for (const Alert& alert : engine.judge(now_ms)) states.push_back(alert.state);
  return states;
}

constexpr AlertState kFiring = AlertState::kFiring, kResolved = AlertState::kResolved;
using States = std::vector<AlertState>;

TEST(Alerts, FireAboveTheBoundAndAreResolvedBelowIt) {
  AlertEngine engine({above(10)});
  EXPECT_EQ(step(engine, 0, 10), States{});
  EXPECT_EQ(step(engine, 1, 11), States{kFiring});
  EXPECT_EQ(step(engine, 2, 12), States{});
  EXPECT_EQ(engine.alerts().at(0).value, 12);
  EXPECT_EQ(engine.alerts().at(0).fired_ms, 1);
  EXPECT_EQ(step(engine, 3, 10), States{kResolved});
  EXPECT_EQ(engine.alerts().at(0).state, kResolved);
  EXPECT_EQ(step(engine, 4, 11), States{kFiring});
}

// What a rule says is to be done, or may happen, holds while its alert does.
TEST(Alerts, WhatTheRuleSaysIsNotSaidOfOneThatIsOver) {
  AlertRule rule = above(10);
  rule.summary = "give it more";
  AlertEngine engine({rule});
  step(engine, 0, 11);
  EXPECT_EQ(alert_text(engine.alerts().at(0)), "full: slice 'train' on GPU 0: used is 11; give it more");
  step(engine, 1, 10);
  EXPECT_EQ(alert_text(engine.alerts().at(0)), "full: slice 'train' on GPU 0: used is in bounds");
}

TEST(Alerts, HysteresisKeepsThemFromFlapping) {
  AlertEngine engine({above(10, 8)});
  EXPECT_EQ(step(engine, 0, 11), States{kFiring});
  EXPECT_EQ(step(engine, 1, 9), States{});
  EXPECT_EQ(step(engine, 2, 11), States{});
  EXPECT_EQ(step(engine, 3, 8), States{kResolved});
  EXPECT_EQ(step(engine, 4, 9), States{});
}

TEST(Alerts, ADurationMustBeHeldWithoutABreak) {
  AlertEngine engine({above(10, {}, 100)});
  EXPECT_EQ(step(engine, 0, 11), States{});
  EXPECT_EQ(engine.alerts().at(0).state, AlertState::kPending);
  EXPECT_EQ(step(engine, 99, 9), States{});
  EXPECT_TRUE(engine.alerts().empty());
  EXPECT_EQ(step(engine, 100, 11), States{});
  EXPECT_EQ(step(engine, 199, 11), States{});
  EXPECT_EQ(step(engine, 200, 11), States{kFiring});
  EXPECT_EQ(engine.alerts().at(0).since_ms, 100);
}

TEST(Alerts, BelowIsTheOtherWayRound) {
  AlertRule rule = above(0);
  rule.above.reset();
  rule.below = 5;
  rule.clear = 7;
  AlertEngine engine({rule});
  EXPECT_EQ(step(engine, 0, 5), States{});
  EXPECT_EQ(step(engine, 1, 4), States{kFiring});
  EXPECT_EQ(step(engine, 2, 6), States{});
  EXPECT_EQ(step(engine, 3, 7), States{kResolved});
}

TEST(Alerts, ARateIsWhatItGrowsByInASecond) {
  AlertRule rule = above(2);
  rule.rate_over_ms = 10'000;
  AlertEngine engine({rule});
  EXPECT_EQ(step(engine, 0, 100), States{});
  EXPECT_EQ(step(engine, 5'000, 105), States{});
  EXPECT_EQ(step(engine, 10'000, 130), States{kFiring});
  EXPECT_EQ(engine.alerts().at(0).value, 3);
  EXPECT_EQ(step(engine, 20'000, 130), States{kResolved});
  // It begins anew: no growth is known, and none of before.
  EXPECT_EQ(step(engine, 21'000, 0), States{});
  EXPECT_EQ(step(engine, 22'000, 1), States{});
}

TEST(Alerts, APartOfAnotherFigure) {
  AlertRule rule = above(0.9);
  rule.of = "limit";
  AlertEngine engine({rule});
  EXPECT_TRUE(engine.wants("limit"));
  EXPECT_FALSE(engine.wants("other"));
  engine.add(kTrain, "limit", 100, 0);
  EXPECT_EQ(step(engine, 0, 95), States{kFiring});
  engine.add(kTrain, "limit", 0, 1);  // a part of nothing is none
  EXPECT_EQ(step(engine, 1, 95), States{kResolved});
}

TEST(Alerts, AnAbsentFigure) {
  AlertRule rule = above(0);
  rule.above.reset();
  rule.absent_ms = 1000;
  AlertEngine engine({rule});
  EXPECT_EQ(step(engine, 0, 1), States{});
  EXPECT_TRUE(engine.judge(999).empty());
  ASSERT_EQ(engine.judge(1000).size(), 1u);
  EXPECT_FALSE(engine.alerts().at(0).value);
  EXPECT_EQ(step(engine, 1100, 1), States{kResolved});
  // What stays away for hours is not expected any more.
  engine.judge(2200);
  EXPECT_EQ(engine.judge(2200 + 2 * AlertEngine::kRememberedMs).at(0).state, kResolved);
}

TEST(Alerts, AreOfTheSubjectsThatTheRuleNames) {
  AlertRule rule = above(1);
  rule.slice = "tr?in*";
  rule.gpu = 0;
  AlertEngine engine({rule});
  EXPECT_EQ(step(engine, 0, 2, {"train", 1}), States{});
  EXPECT_EQ(step(engine, 0, 2, {"strain", 0}), States{});
  EXPECT_EQ(step(engine, 0, 2, {"", 0}), States{});
  EXPECT_EQ(step(engine, 0, 2, {"train", 0}), States{kFiring});
  const States both = {kResolved, kFiring};  // train is not told any more
  EXPECT_EQ(step(engine, 0, 2, {"train-7", 0}), both);
}

TEST(Alerts, WhoseSubjectIsGoneAreResolvedAndForgotten) {
  AlertEngine engine({above(1)});
  EXPECT_EQ(step(engine, 0, 2), States{kFiring});
  EXPECT_EQ(engine.judge(10).at(0).state, kResolved);
  EXPECT_EQ(engine.alerts().size(), 1u);
  engine.judge(20 + AlertEngine::kRememberedMs);
  EXPECT_TRUE(engine.alerts().empty());
}

TEST(Alerts, SubjectsAreBounded) {
  AlertEngine engine({above(1)});
  for (size_t i = 0; i < AlertEngine::kMostTracked + 100; ++i)
    engine.add({"s" + std::to_string(i), 0}, "used", 2, 0);
  EXPECT_EQ(engine.judge(0).size(), AlertEngine::kMostTracked);
}

// Each is there for one sample, and its alert is not missed, however many were there before it.
TEST(Alerts, TenThousandTenantsComeAndGo) {
  AlertRule absent = above(0);
  absent.above.reset();
  absent.absent_ms = 3'600'000;
  AlertEngine engine({above(1), absent});
  constexpr int64_t kAtOnce = 20;
  for (int64_t i = 0; i < 10'000 / kAtOnce; ++i) {
    for (int64_t k = 0; k < kAtOnce; ++k)
      engine.add({"s" + std::to_string(i * kAtOnce + k), 0}, "used", 2, 2000 * i);
    const std::vector<Alert> changed = engine.judge(2000 * i);
    EXPECT_EQ(std::count_if(changed.begin(), changed.end(),
                            [](const Alert& alert) { return alert.state == kFiring; }),
              kAtOnce)
        << i;
    EXPECT_LE(engine.alerts().size(), AlertEngine::kMostTracked);
  }
}

TEST(Alerts, WhatIsNoNumberIsNotTold) {
  AlertEngine engine({above(1)});
  for (const double value : {std::nan(""), std::numeric_limits<double>::infinity()})
    EXPECT_EQ(step(engine, 0, value), States{});
}

TEST(Alerts, APatternOfManyStarsTakesNoTime) {
  AlertRule rule = above(1);
  rule.slice = std::string(150, '*') + "a" + std::string(140, '*') + "b";
  AlertEngine engine({rule});
  EXPECT_EQ(step(engine, 0, 2, {std::string(63, 'a'), 0}), States{});
}

// Whatever the values and times: an alert fires only after its condition held for as long as it must, firing
// and resolved take turns, and what fires is beyond its bound while what is resolved is not beyond `clear`.
TEST(Alerts, KeepTheirPromisesAtRandom) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    const double bound = static_cast<double>(random() % 50);
    const double clear = bound - static_cast<double>(random() % 20);
    const auto for_ms = static_cast<int64_t>(random() % 30);
    AlertEngine engine({above(bound, clear, for_ms)});
    int64_t now = 0, beyond_since = -1;
    bool fires = false;
    for (int i = 0; i < 200; ++i) {
      now += static_cast<int64_t>(random() % 10);
      const auto value = static_cast<double>(random() % 60);
      if (value <= (fires ? clear : bound))
        beyond_since = -1;
      else if (beyond_since < 0)
        beyond_since = now;
      for (const AlertState state : step(engine, now, value)) {
        EXPECT_EQ(state == kFiring, !fires) << "seed " << seed;
        fires = state == kFiring;
        if (fires) {
          EXPECT_GT(value, bound);
          EXPECT_GE(now - beyond_since, for_ms);
        } else {
          EXPECT_LE(value, clear);
        }
      }
      if (beyond_since >= 0 && now - beyond_since >= for_ms) {
        EXPECT_TRUE(fires) << "seed " << seed << " at " << now;
      }
    }
  }
}

}  // namespace
}  // namespace tessera::monitoring
