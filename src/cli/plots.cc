#include "cli/plots.h"

#include <algorithm>
#include <ctime>

#include "common/strings.h"

namespace tessera::cli {
namespace {

using monitoring::HistoryPoint;
using monitoring::HistorySeries;

constexpr int kWidth = 640, kHeight = 80;
// A step or two that a busy daemon left out are no gap.
constexpr int64_t kGapSteps = 3, kShortestGapMs = 10'000;

// The mean of what is in each of so many parts of the time.
struct Part {
  double sum = 0, seconds = 0;
  bool empty() const { return seconds == 0; }
  double mean() const { return sum / seconds; }
};

std::vector<Part> in_parts(const HistorySeries& series, const PlotTime& time, size_t count) {
  std::vector<Part> parts(count);
  for (const HistoryPoint& point : series.points) {
    const double part = static_cast<double>(point.time_ms - time.begin_ms) * static_cast<double>(count) /
                        static_cast<double>(time.end_ms - time.begin_ms);
    Part& at = parts[std::min(static_cast<size_t>(std::max(part, 0.0)), count - 1)];
    at.sum += point.mean * point.seconds;
    at.seconds += point.seconds;
  }
  return parts;
}

}  // namespace

void PlotTime::add(const HistorySeries& series, int64_t step) {
  if (series.points.empty()) return;
  step_ms = std::max<int64_t>(step, 1);
  begin_ms = std::min(begin_ms, series.points.front().time_ms);
  end_ms = std::max(end_ms, series.points.back().time_ms + step_ms);
  most_points = std::max(most_points, series.points.size());
}

std::string PlotTime::text(int64_t now_ms) const {
  return clock_text(begin_ms, now_ms) + " to " + clock_text(end_ms, now_ms);
}

std::string clock_text(int64_t time_ms, int64_t now_ms) {
  const auto seconds = static_cast<time_t>(time_ms / 1000);
  tm local{};
  localtime_r(&seconds, &local);
  char text[32];
  strftime(text, sizeof text, now_ms - time_ms > monitoring::kDayMs ? "%d %b %H:%M" : "%H:%M:%S", &local);
  return text;
}

std::string sparkline(const HistorySeries& series, const PlotTime& time, size_t most_bars, bool ascii) {
  static constexpr const char* kBars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr const char* kPlain[] = {"_", ".", "-", "=", "+", "*", "%", "#"};
  const size_t count = std::min(most_bars, time.most_points);
  if (time.empty() || count == 0) return "";
  const std::vector<Part> parts = in_parts(series, time, count);
  double least = 0, most = 0;
  for (const Part& part : parts) {
    if (part.empty()) continue;
    least = std::min(least, part.mean());
    most = std::max(most, part.mean());
  }
  std::string line;
  for (const Part& part : parts) {
    if (part.empty()) {
      line += ' ';
      continue;
    }
    const double height = most > least ? (part.mean() - least) / (most - least) : 0;
    const auto level = static_cast<size_t>(height * 7 + 0.5);  // 0 to 7
    line += (ascii ? kPlain : kBars)[level];
  }
  return line;
}

std::string for_html(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '>')
      safe += "&gt;";
    else if (c == '"')
      safe += "&quot;";
    else
      safe += c;
  }
  return safe;
}

// A mean holds until the end of its step, so that one alone can be seen, too.
std::string plot_svg(const HistorySeries& series, double most, const std::string& label, const PlotTime& time,
                     int64_t now_ms) {
  if (series.points.empty() || most <= 0) return "";
  const int64_t gap_ms = std::max(kGapSteps * time.step_ms, kShortestGapMs);
  const auto corner = [&](int64_t time_ms, double value) {
    const double x = static_cast<double>(time_ms - time.begin_ms) /
                     static_cast<double>(time.end_ms - time.begin_ms) * kWidth;
    return str_format("%.1f,%.1f ", x, kHeight * (1 - std::clamp(value / most, 0.0, 1.0)));
  };
  std::string lines;
  for (size_t i = 0; i < series.points.size(); ++i) {
    const HistoryPoint& point = series.points[i];
    const bool begins = i == 0 || point.time_ms - series.points[i - 1].time_ms > gap_ms;
    const bool ends = i + 1 == series.points.size() || series.points[i + 1].time_ms - point.time_ms > gap_ms;
    if (begins) lines += "<polyline points=\"";
    lines += corner(point.time_ms, point.mean);
    if (ends) lines += corner(point.time_ms + time.step_ms, point.mean) + "\"/>";
  }
  const std::string safe = for_html(label);
  return "<figure><figcaption>" + safe +
         str_format("</figcaption><svg viewBox=\"0 -2 %d %d\" preserveAspectRatio=\"none\" role=\"img\" ",
                    kWidth, kHeight + 4) +
         "aria-label=\"" + safe + ", " + time.text(now_ms) + "\">" + lines + "</svg><div><span>" +
         clock_text(time.begin_ms, now_ms) + "</span><span>" + clock_text(time.end_ms, now_ms) +
         "</span></div></figure>\n";
}

}  // namespace tessera::cli
