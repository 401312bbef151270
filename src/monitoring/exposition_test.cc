#include "monitoring/exposition.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace tessera::monitoring {
namespace {

constexpr Metric kLaunches{"launches_total", MetricType::kCounter, "Launches."};
constexpr Metric kShare{"share_ratio", MetricType::kGauge, "A share."};

TEST(Exposition, SaysEachFamilyOnceWithAllItsSamples) {
  Exposition exposition;
  exposition.add(kLaunches, {{"slice", "a"}}, 3);
  exposition.add(kShare, {}, 400 * 1e-3);
  exposition.add(kLaunches, {{"slice", "b"}, {"gpu", "0"}}, 9007199254740991.0);
  EXPECT_EQ(exposition.text(),
            "# HELP launches_total Launches.\n"
            "# TYPE launches_total counter\n"
            "launches_total{slice=\"a\"} 3\n"
            "launches_total{slice=\"b\",gpu=\"0\"} 9007199254740991\n"
            "# HELP share_ratio A share.\n"
            "# TYPE share_ratio gauge\n"
            "share_ratio 0.4\n");
}

TEST(Exposition, NamesMayBeAnything) {
  Exposition exposition;
  exposition.add(kShare, {{"slice", "a\"b\\c\nd"}}, -1);
  EXPECT_NE(exposition.text().find("share_ratio{slice=\"a\\\"b\\\\c\\nd\"} -1\n"), std::string::npos);
}

TEST(Exposition, WhatIsNoNumberIsNotThere) {
  Exposition exposition;
  exposition.add(kShare, {}, std::numeric_limits<double>::quiet_NaN());
  exposition.add(kShare, {}, std::numeric_limits<double>::infinity());
  EXPECT_EQ(exposition.text(), "");
}

TEST(Exposition, AHistogramAddsUp) {
  constexpr Metric kWait{"wait_seconds", MetricType::kHistogram, "Waits."};
  Exposition exposition;
  const Bounds bounds(std::array{0.001, 0.5});
  constexpr uint64_t kCounts[] = {2, 3};
  exposition.labelled({{"slice", "a"}}).add_histogram(kWait, bounds, kCounts, 6, 1.25);
  EXPECT_EQ(exposition.text(),
            "# HELP wait_seconds Waits.\n"
            "# TYPE wait_seconds histogram\n"
            "wait_seconds_bucket{slice=\"a\",le=\"0.001\"} 2\n"
            "wait_seconds_bucket{slice=\"a\",le=\"0.5\"} 5\n"
            "wait_seconds_bucket{slice=\"a\",le=\"+Inf\"} 6\n"
            "wait_seconds_sum{slice=\"a\"} 1.25\n"
            "wait_seconds_count{slice=\"a\"} 6\n");
}

// Who reports them may lie: what Prometheus reads is a histogram all the same.
TEST(Exposition, BucketsNeverHoldMoreThanAll) {
  constexpr Metric kWait{"wait_seconds", MetricType::kHistogram, "Waits."};
  Exposition exposition;
  const Bounds bounds(std::array{1.0, 2.0});
  constexpr uint64_t kCounts[] = {5, 5};
  exposition.labelled({}).add_histogram(kWait, bounds, kCounts, 6, 0);
  EXPECT_NE(exposition.text().find("le=\"2\"} 6\n"), std::string::npos);
}

}  // namespace
}  // namespace tessera::monitoring
