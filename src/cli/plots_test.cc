#include "cli/plots.h"

#include <gtest/gtest.h>

namespace tessera::cli {
namespace {

using monitoring::HistorySeries;

HistorySeries series(const std::vector<std::pair<int64_t, double>>& points) {
  HistorySeries one;
  for (const auto& [time_ms, value] : points) one.points.push_back({time_ms, value, value, value, 10});
  return one;
}

PlotTime time_of(const std::vector<HistorySeries>& all) {
  PlotTime time;
  for (const HistorySeries& one : all) time.add(one, 10'000);
  return time;
}

size_t count(const std::string& text, const std::string& what) {
  size_t found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

TEST(Sparkline, WhatHappenedAtOnceIsAtOnePlace) {
  const HistorySeries whole = series({{0, 1}, {10'000, 0}, {20'000, 1}, {30'000, 0.5}}),
                      late = series({{20'000, 4}});
  const PlotTime time = time_of({whole, late});
  EXPECT_EQ(sparkline(whole, time, 60, true), "#_#+");
  EXPECT_EQ(sparkline(late, time, 60, true), "  # ");
  EXPECT_EQ(sparkline(whole, time, 60, false), "█▁█▅");
}

// The mean of what is in a bar, by how long each was recorded.
TEST(Sparkline, HasNoMoreBarsThanAskedFor) {
  HistorySeries one = series({{0, 1}, {10'000, 0}, {20'000, 1}, {30'000, 1}});
  one.points[1].seconds = 0;
  EXPECT_EQ(sparkline(one, time_of({one}), 2, true), "##");
  EXPECT_EQ(sparkline(one, PlotTime(), 2, true), "");
}

TEST(PlotSvg, IsBrokenWhereNothingWasRecorded) {
  const HistorySeries one = series({{0, 1}, {10'000, 1}, {100'000, 1}});
  const std::string text = plot_svg(one, 1, "use <b>", time_of({one}), 0);
  EXPECT_EQ(count(text, "<polyline"), 2u) << text;
  EXPECT_EQ(text.find("<b>"), std::string::npos);
  EXPECT_EQ(count(text, "<span>"), 2u) << "when it begins and when it ends";
}

TEST(PlotSvg, OfNothingIsNothing) {
  EXPECT_EQ(plot_svg(HistorySeries(), 1, "", PlotTime(), 0), "");
  EXPECT_EQ(plot_svg(series({{0, 0}}), 0, "", time_of({series({{0, 0}})}), 0), "");
}

}  // namespace
}  // namespace tessera::cli
