#include "cli/report_text.h"

#include <gtest/gtest.h>

namespace tessera::cli {
namespace {

using monitoring::HistoryAnswer;

// A series of `values`, ten seconds each.
HistoryAnswer answer(const std::string& metric, const monitoring::Subject& subject,
                     const std::vector<double>& values) {
  HistoryAnswer one;
  one.step_ms = 10'000;
  one.series.push_back({metric, subject, {}});
  for (size_t i = 0; i < values.size(); ++i)
    one.series[0].points.push_back(
        {static_cast<int64_t>(i) * 10'000, values[i], values[i] / 2, values[i] * 2, 10});
  return one;
}

Report sample(const std::string& name = "train") {
  Report report = make_report({
      {"gpu_utilization_ratio", answer("gpu_utilization_ratio", {"", 0}, {0.2, 0.4})},
      {"slice_gpu_seconds_total", answer("slice_gpu_seconds_total", {name, 0}, {0.5, 1, 0})},
      {"slice_memory_used_bytes", answer("slice_memory_used_bytes", {name, 0}, {1 << 20, 2 << 20})},
      {"slice_share_entitled_ratio", answer("slice_share_entitled_ratio", {name, 0}, {0.5, 0.5})},
  });
  report.host = "node";
  report.events.push_back({{"time_ms", 1},
                           {"severity", "warning"},
                           {"kind", "program_failed"},
                           {"subject", name},
                           {"text", "x"}});
  return report;
}

TEST(Report, AddsUp) {
  const Report report = sample();
  ASSERT_EQ(report.tenants.size(), 1u);
  EXPECT_DOUBLE_EQ(report.tenants[0].gpu_seconds, 15);  // half, all and none of ten seconds
  EXPECT_DOUBLE_EQ(report.tenants[0].most_memory, 4 << 20);
  EXPECT_DOUBLE_EQ(report.tenants[0].entitled, 0.5);
  ASSERT_EQ(report.gpus.size(), 1u);
  EXPECT_NEAR(report.gpus[0].mean_use, 0.3, 1e-9);
}

TEST(Report, CountsWhatWasRecordedOfAStep) {
  HistoryAnswer one = answer("slice_gpu_seconds_total", {"train", 0}, {0.5, 0.5});
  one.step_ms = 600'000;
  one.series[0].points[1].seconds = 600;
  HistoryAnswer share = answer("slice_share_achieved_ratio", {"train", 0}, {0.9, 0.2});
  share.series[0].points[0].seconds = 20;
  share.series[0].points[1].seconds = 600;
  const Report report =
      make_report({{"slice_gpu_seconds_total", one}, {"slice_share_achieved_ratio", share}});
  EXPECT_DOUBLE_EQ(report.tenants[0].gpu_seconds, 5 + 300);
  EXPECT_NEAR(report.tenants[0].achieved, (0.9 * 20 + 0.2 * 600) / 620, 1e-9);
}

TEST(Report, WhoUsedMostComesFirst) {
  auto both = answer("slice_gpu_seconds_total", {"little", 0}, {0.1});
  both.series.push_back(answer("slice_gpu_seconds_total", {"much", 0}, {0.9}).series[0]);
  EXPECT_EQ(make_report({{"slice_gpu_seconds_total", both}}).tenants[0].subject.slice, "much");
}

TEST(Report, IsOneFileThatNeedsNothingElse) {
  const std::string page = report_html(sample());
  EXPECT_NE(page.find("<polyline points=\"0.0,40.0 213.3,0.0 426.7,80.0 640.0,80.0 \"/>"), std::string::npos)
      << page;
  EXPECT_NE(page.find("<span>" + clock_text(0, 0) + "</span><span>" + clock_text(30'000, 0) + "</span>"),
            std::string::npos);
  EXPECT_NE(page.find("15.0 s"), std::string::npos);
  for (const char* from_elsewhere : {"src=", "href=", "url(", "@import", "<script"})
    EXPECT_EQ(page.find(from_elsewhere), std::string::npos);
}

TEST(Report, NamesMayBeAnything) {
  const Report report = sample("<script>alert(1)</script>|\n");
  EXPECT_EQ(report_html(report).find("<script"), std::string::npos);
  const std::string markdown = report_markdown(report);
  EXPECT_EQ(markdown.find("<script"), std::string::npos);
  EXPECT_NE(markdown.find("\\|"), std::string::npos);
}

TEST(Report, OfNothingIsAReport) {
  EXPECT_NE(report_html(Report()).find("</html>"), std::string::npos);
  EXPECT_NE(report_markdown(Report()).find("## Tenants"), std::string::npos);
  EXPECT_TRUE(report_json(Report())["tenants"].empty());
}

}  // namespace
}  // namespace tessera::cli
