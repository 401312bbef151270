// A report of a time, from what the history has of it: Markdown, or one HTML file that needs nothing else.
// Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/plots.h"
#include "monitoring/history/history_store.h"
#include "node/json.h"

namespace tessera::cli {

struct ReportGpu {
  uint32_t index = 0;
  double mean_use = 0, most_memory = 0, mean_memory = 0;
  monitoring::HistorySeries use;
};
struct ReportTenant {
  monitoring::Subject subject;
  double gpu_seconds = 0;
  double achieved = 0, entitled = 0;  // means, of the GPU
  double most_memory = 0, limit = 0;
  double wait_seconds = 0, launches = 0, refusals = 0, errors = 0, faults = 0, to_device = 0, from_device = 0;
  monitoring::HistorySeries use, memory;
};
struct Report {
  std::string host, period, made;  // for people
  int64_t now_ms = 0;
  PlotTime time;  // that was recorded of it
  std::vector<ReportGpu> gpus;
  std::vector<ReportTenant> tenants;  // who used most GPU time first
  node::Json events = node::Json::array();
  bool truncated = false;  // there were more tenants
};

// The metrics that it needs.
const std::vector<std::string>& report_metrics();
// `answers` by metric.
Report make_report(const std::map<std::string, monitoring::HistoryAnswer>& answers);
std::string report_markdown(const Report& report);
std::string report_html(const Report& report);
node::Json report_json(const Report& report);

}  // namespace tessera::cli
