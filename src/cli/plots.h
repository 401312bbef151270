// Figures of the past drawn over a time: as a line of bars for terminals and Markdown, as SVG for a report.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "monitoring/history/history_store.h"

namespace tessera::cli {

// What several plots have in common, so that what happened at once is at one place in all of them.
struct PlotTime {
  int64_t begin_ms = INT64_MAX, end_ms = INT64_MIN;  // nothing, as long as nothing was added
  int64_t step_ms = 1;
  size_t most_points = 0;  // of a series

  void add(const monitoring::HistorySeries& series, int64_t step_ms);
  bool empty() const { return begin_ms > end_ms; }
  // "01:02:03 to 04:05:06"
  std::string text(int64_t now_ms) const;
};

// "01:02:03", or "27 Nov 01:02" where it is longer ago than a day.
std::string clock_text(int64_t time_ms, int64_t now_ms);

// Bars over all of the time, as many as there are points but at most so many, from 0 or the least to the
// most; blank where nothing was recorded. `ascii`: of characters that any terminal has.
std::string sparkline(const monitoring::HistorySeries& series, const PlotTime& time, size_t most_bars,
                      bool ascii);

// The mean as a line, from 0 to `most`, broken where nothing was recorded, with the times at its ends.
// Nothing where there is nothing to see.
std::string plot_svg(const monitoring::HistorySeries& series, double most, const std::string& label,
                     const PlotTime& time, int64_t now_ms);

// Names may be anything.
std::string for_html(const std::string& text);

}  // namespace tessera::cli
