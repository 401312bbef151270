// What figures of the history stand for: totals and means come out right whatever levels they are made of.
#include <gtest/gtest.h>

#include <numeric>

#include "monitoring/history/history_store.h"
#include "monitoring/history/history_testing.h"

namespace tessera::monitoring {
namespace {

class SpansTest : public HistoryFolderTest {
 protected:
  HistoryStore open() const {
    auto opened = HistoryStore::open(path_, {});
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    return std::move(opened->store);
  }
  static void sample(HistoryStore& store, int64_t time_ms, const Subject& subject, double used,
                     double launches, std::optional<int64_t> age_ms = std::nullopt) {
    ASSERT_TRUE(
        store.add(time_ms, subject, {{"used", used, false}, {"launches_total", launches, true}}, age_ms)
            .ok());
    ASSERT_TRUE(store.commit(time_ms).ok());
  }
  // As a node that goes on while others look: what is over is rolled up.
  static void idle(HistoryStore& store, int64_t from_ms, int64_t until_ms) {
    for (int64_t time_ms = from_ms; time_ms < until_ms; time_ms += kMinute)
      sample(store, time_ms, {"other", 0}, 1, 0);
  }
  static std::vector<HistoryPoint> ask(HistoryStore& store, const char* metric, int64_t now_ms,
                                       int64_t since_ms, int64_t points = 100) {
    HistoryQuery query;
    query.metrics = {metric};
    query.slice = "train";
    query.since_ms = since_ms;
    query.until_ms = query.now_ms = now_ms;
    query.points = points;
    auto answer = store.query(query);
    EXPECT_TRUE(answer.ok()) << answer.status().message();
    return answer.ok() && !answer->series.empty() ? answer->series[0].points : std::vector<HistoryPoint>{};
  }
  static double total(const std::vector<HistoryPoint>& points) {
    return std::accumulate(points.begin(), points.end(), 0.0, [](double sum, const HistoryPoint& point) {
      return sum + point.mean * point.seconds;
    });
  }
  static double mean(const std::vector<HistoryPoint>& points) {
    const double seconds =
        std::accumulate(points.begin(), points.end(), 0.0,
                        [](double sum, const HistoryPoint& point) { return sum + point.seconds; });
    return total(points) / seconds;
  }

  const Subject train_{"train", 0};
};

TEST_F(SpansTest, SamplesStandForTheTimeSinceTheOneBefore) {
  HistoryStore store = open();
  for (int64_t i = 0; i <= 10; ++i)
    sample(store, kStart + i * 2000, train_, 1, 10.0 * static_cast<double>(i));
  EXPECT_NEAR(total(ask(store, "launches_total", kStart + kMinute, kStart)), 100, 1e-3);
  const auto used = ask(store, "used", kStart + kMinute, kStart);
  EXPECT_DOUBLE_EQ(used.back().seconds, 2);
  // Of the first one nothing is known.
  EXPECT_LE(used.front().seconds, 0.001);
}

// A slice that lived for 20 s of a step of ten minutes has done what it did in 20 s.
TEST_F(SpansTest, LivesOfPartOfAStepCountAsLongAsTheyLasted) {
  HistoryStore store = open();
  for (int64_t i = 0; i <= 10; ++i)
    sample(store, kStart + i * 2000, train_, 1, 10.0 * static_cast<double>(i));
  int64_t idle_ms = kStart + kMinute;
  for (const int64_t hours : {2, 27}) {
    const int64_t now_ms = kStart + hours * kHourMs;
    idle(store, idle_ms, now_ms);
    idle_ms = now_ms;
    const auto points = ask(store, "launches_total", now_ms, kStart);
    ASSERT_EQ(points.size(), 1u) << hours;
    EXPECT_NEAR(points[0].seconds, 20, 1e-3) << hours;
    EXPECT_NEAR(total(points), 100, 1e-3) << hours;
    // Put together with more of nothing, too.
    EXPECT_NEAR(total(ask(store, "launches_total", now_ms, kStart, 1)), 100, 1e-3) << hours;
  }
}

// Minutes and samples are of one answer: a minute weighs as much as thirty samples.
TEST_F(SpansTest, AMinuteWeighsAMinuteBesideSamples) {
  HistoryStore store = open();
  // Two hours of 0, and 58 s of 1 that are no whole minute yet.
  int64_t time_ms = kStart;
  for (; time_ms < kStart + 2 * kHourMs; time_ms += 10'000) sample(store, time_ms, train_, 0, 0);
  for (const int64_t end_ms = time_ms + 58'000; time_ms <= end_ms; time_ms += 2000)
    sample(store, time_ms, train_, 1, 0);
  EXPECT_NEAR(mean(ask(store, "used", time_ms, kStart, 1)), 68.0 / 7258, 1e-5)
      << "one of 10 s, and 29 of 2 s";
}

TEST_F(SpansTest, TheFirstSampleStandsForTheLifeUntilThen) {
  HistoryStore store = open();
  sample(store, kStart, train_, 4, 100, 1600);
  sample(store, kStart + 2000, train_, 4, 150);
  const auto launches = ask(store, "launches_total", kStart + kMinute, kStart);
  ASSERT_EQ(launches.size(), 2u);
  EXPECT_DOUBLE_EQ(launches[0].seconds, 1.6);
  EXPECT_NEAR(launches[0].mean, 62.5, 1e-3);
  EXPECT_NEAR(total(launches), 150, 1e-3);
  EXPECT_DOUBLE_EQ(ask(store, "used", kStart + kMinute, kStart)[0].seconds, 1.6);
}

// Another slice of the same name, which has done more already than the one before it.
TEST_F(SpansTest, ANewLifeUnderAnOldNameBeginsAtNothing) {
  HistoryStore store = open();
  sample(store, kStart, train_, 1, 0, 1000);
  sample(store, kStart + 2000, train_, 1, 10);
  sample(store, kStart + 6000, train_, 1, 30, 3000);
  EXPECT_NEAR(total(ask(store, "launches_total", kStart + kMinute, kStart)), 40, 1e-3);
}

// A life longer than what growth is told over says nothing of a rate; a very short one is no peak.
TEST_F(SpansTest, LivesAreBounded) {
  HistoryStore store = open();
  sample(store, kStart, train_, 1, 1000, 3 * kHourMs);
  EXPECT_TRUE(ask(store, "launches_total", kStart + kMinute, kStart).empty());
  sample(store, kStart + 10'000, {"short", 0}, 1, 5, 2);
  HistoryQuery query{.metrics = {"launches_total"},
                     .slice = "short",
                     .gpu = {},
                     .since_ms = kStart,
                     .until_ms = kStart + kMinute,
                     .now_ms = kStart + kMinute};
  EXPECT_NEAR(store.query(query)->series.at(0).points.at(0).mean, 5, 1e-3);
}

// Rows of the release before say nothing of time: a step stands for itself.
TEST_F(SpansTest, AFileOfTheReleaseBeforeIsTakenOver) {
  {
    HistoryStore store = open();
    sample(store, kStart, train_, 1, 0);
    Database raw = Database::open(path_, Database::Access::kReadWrite).value();
    // Metric 1 is "used", metric 2 "launches_total"; in a row of minutes as mean, least and most: 2.0 each.
    ASSERT_TRUE(raw.execute(("PRAGMA user_version=1; DELETE FROM fresh; DELETE FROM points;"
                             "INSERT OR REPLACE INTO rolled_up VALUES(1, " +
                             std::to_string(kStart + kHourMs) +
                             ");"
                             "INSERT INTO points VALUES(1, 1, " +
                             std::to_string(kStart) + ", x'0200000000400000004000000040');")
                                .c_str())
                    .ok());
  }
  HistoryStore store = open();
  const auto points = ask(store, "launches_total", kStart + 2 * kHourMs, kStart);
  ASSERT_EQ(points.size(), 1u);
  EXPECT_DOUBLE_EQ(points[0].mean, 2);
  EXPECT_DOUBLE_EQ(points[0].seconds, 60);
  sample(store, kStart + 2 * kHourMs, train_, 1, 0);
  Database raw = Database::open(path_, Database::Access::kRead).value();
  EXPECT_EQ(raw.number("PRAGMA user_version").value(), 2);
}

}  // namespace
}  // namespace tessera::monitoring
