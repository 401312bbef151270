#include "cli/report_text.h"

#include <algorithm>

#include "common/size.h"
#include "common/strings.h"

namespace tessera::cli {
namespace {

using monitoring::HistoryAnswer;
using monitoring::HistoryPoint;
using monitoring::HistorySeries;
using node::Json;
using node::json_string;

constexpr size_t kBars = 60;  // of a plot in Markdown

// What a counter grew by; of other figures the mean times the time that it was told for.
double total_of(const HistorySeries& series) {
  double total = 0;
  for (const HistoryPoint& point : series.points) total += point.mean * point.seconds;
  return total;
}

double mean_of(const HistorySeries& series) {
  double seconds = 0;
  for (const HistoryPoint& point : series.points) seconds += point.seconds;
  return seconds > 0 ? total_of(series) / seconds : 0;
}

double most_of(const HistorySeries& series) {
  double most = 0;
  for (const HistoryPoint& point : series.points) most = std::max(most, point.most);
  return most;
}

void take(ReportTenant& tenant, const HistorySeries& series) {
  const std::pair<const char*, double ReportTenant::*> kTotals[] = {
      {"slice_gpu_seconds_total", &ReportTenant::gpu_seconds},
      {"slice_turn_wait_seconds_total", &ReportTenant::wait_seconds},
      {"slice_launches_total", &ReportTenant::launches},
      {"slice_refusals_total", &ReportTenant::refusals},
      {"slice_errors_total", &ReportTenant::errors},
      {"slice_faults_total", &ReportTenant::faults},
      {"slice_copied_to_device_bytes_total", &ReportTenant::to_device},
      {"slice_copied_from_device_bytes_total", &ReportTenant::from_device}};
  for (const auto& [metric, member] : kTotals) {
    if (series.metric == metric) tenant.*member = total_of(series);
  }
  if (series.metric == "slice_gpu_seconds_total") tenant.use = series;
  if (series.metric == "slice_memory_used_bytes") {
    tenant.memory = series;
    tenant.most_memory = most_of(series);
  }
  if (series.metric == "slice_memory_limit_bytes" && !series.points.empty())
    tenant.limit = series.points.back().mean;
  if (series.metric == "slice_share_achieved_ratio") tenant.achieved = mean_of(series);
  if (series.metric == "slice_share_entitled_ratio") tenant.entitled = mean_of(series);
}

void take(ReportGpu& gpu, const HistorySeries& series) {
  if (series.metric == "gpu_utilization_ratio") {
    gpu.use = series;
    gpu.mean_use = mean_of(series);
  } else if (series.metric == "gpu_memory_used_bytes") {
    gpu.mean_memory = mean_of(series);
    gpu.most_memory = most_of(series);
  }
}

std::string bytes(double value) { return format_size(static_cast<uint64_t>(std::max(value, 0.0))); }
std::string percent(double ratio) { return str_format("%.1f%%", 100 * ratio); }
std::string seconds(double value) { return str_format("%.1f s", value); }
std::string count(double value) { return str_format("%.0f", value); }

using Rows = std::vector<std::vector<std::string>>;

Rows gpu_rows(const Report& report) {
  Rows rows = {{"GPU", "use, mean", "memory, mean", "memory, most"}};
  for (const ReportGpu& gpu : report.gpus)
    rows.push_back(
        {std::to_string(gpu.index), percent(gpu.mean_use), bytes(gpu.mean_memory), bytes(gpu.most_memory)});
  return rows;
}

Rows tenant_rows(const Report& report) {
  Rows rows = {{"slice", "GPU", "GPU time", "had", "entitled", "memory, most", "limit", "waited", "launches",
                "refusals", "errors", "faults", "copied to", "copied from"}};
  for (const ReportTenant& tenant : report.tenants) {
    rows.push_back({tenant.subject.slice, tenant.subject.gpu ? std::to_string(*tenant.subject.gpu) : "-",
                    seconds(tenant.gpu_seconds), percent(tenant.achieved), percent(tenant.entitled),
                    bytes(tenant.most_memory), bytes(tenant.limit), seconds(tenant.wait_seconds),
                    count(tenant.launches), count(tenant.refusals), count(tenant.errors),
                    count(tenant.faults), bytes(tenant.to_device), bytes(tenant.from_device)});
  }
  return rows;
}

Rows event_rows(const Report& report) {
  Rows rows = {{"time", "severity", "what", "of", ""}};
  for (const Json& event : report.events) {
    const int64_t time_ms = static_cast<int64_t>(node::json_uint(event, "time_ms").value_or(0));
    rows.push_back({clock_text(time_ms, report.now_ms), json_string(event, "severity"),
                    json_string(event, "kind"), json_string(event, "subject"), json_string(event, "text")});
  }
  return rows;
}

std::string name_of(const ReportTenant& tenant) {
  return tenant.subject.slice + (tenant.subject.gpu ? " on GPU " + std::to_string(*tenant.subject.gpu) : "");
}

// HTML within Markdown is HTML.
std::string for_markdown(const std::string& text) {
  std::string safe;
  for (const char c : for_html(text)) {
    if (std::string_view("\\`*_{}[]()#+!|").find(c) != std::string_view::npos) safe += '\\';
    safe += c == '\n' || c == '\r' ? ' ' : c;
  }
  return safe;
}

std::string markdown_table(const Rows& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    text += "|";
    for (const std::string& cell : rows[i]) text += " " + for_markdown(cell) + " |";
    text += "\n";
    if (i == 0) {
      text += "|";
      for (size_t column = 0; column < rows[0].size(); ++column) text += "---|";
      text += "\n";
    }
  }
  return text + "\n";
}

std::string html_table(const Rows& rows) {
  std::string text = "<table>\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    text += "<tr>";
    const char* tag = i == 0 ? "th" : "td";
    for (const std::string& cell : rows[i])
      text += str_format("<%s>", tag) + for_html(cell) + str_format("</%s>", tag);
    text += "</tr>\n";
  }
  return text + "</table>\n";
}

std::string markdown_plot(const Report& report, const HistorySeries& series, const std::string& label) {
  if (report.time.empty()) return "";
  return for_markdown(label) + ": `" + clock_text(report.time.begin_ms, report.now_ms) + " " +
         sparkline(series, report.time, kBars, false) + " " + clock_text(report.time.end_ms, report.now_ms) +
         "`\n\n";
}

std::string html_plot(const Report& report, const HistorySeries& series, double most,
                      const std::string& label) {
  return plot_svg(series, most, label, report.time, report.now_ms);
}

std::string period_text(const Report& report) {
  if (report.time.empty()) return report.period + ", of which nothing was recorded";
  return report.period + ", recorded from " + report.time.text(report.now_ms);
}

constexpr const char* kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 "
    "1rem;color:#1a1d21;background:#fff}"
    "table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}th,td{padding:.25rem "
    ".6rem;border-bottom:1px solid #d5d9de;"
    "text-align:right;white-space:nowrap}th:first-child,td:first-child{text-align:left}figure{margin:1rem "
    "0}figure div{display:flex;justify-content:space-between;font-size:.85em;opacity:.7}"
    "svg{display:block;width:100%;height:5rem;background:#f3f5f7}polyline{fill:none;stroke:#1f6feb;stroke-"
    "width:1.5;vector-effect:non-scaling-stroke}"
    "@media(prefers-color-scheme:dark){body{color:#e6e8ea;background:#14171a}svg{background:#1e2226}th,td{"
    "border-color:#333a41}}";

}  // namespace

const std::vector<std::string>& report_metrics() {
  static const std::vector<std::string> kMetrics = {"gpu_utilization_ratio",
                                                    "gpu_memory_used_bytes",
                                                    "slice_gpu_seconds_total",
                                                    "slice_turn_wait_seconds_total",
                                                    "slice_launches_total",
                                                    "slice_refusals_total",
                                                    "slice_errors_total",
                                                    "slice_faults_total",
                                                    "slice_copied_to_device_bytes_total",
                                                    "slice_copied_from_device_bytes_total",
                                                    "slice_memory_used_bytes",
                                                    "slice_memory_limit_bytes",
                                                    "slice_share_achieved_ratio",
                                                    "slice_share_entitled_ratio"};
  return kMetrics;
}

Report make_report(const std::map<std::string, HistoryAnswer>& answers) {
  std::map<uint32_t, ReportGpu> gpus;
  std::map<monitoring::Subject, ReportTenant> tenants;
  Report report;
  for (const auto& [metric, answer] : answers) {
    report.truncated = report.truncated || answer.truncated;
    for (const HistorySeries& series : answer.series) {
      report.time.add(series, answer.step_ms);
      if (!series.subject.slice.empty()) {
        take(tenants[series.subject], series);
      } else if (series.subject.gpu) {
        take(gpus[*series.subject.gpu], series);
      }
    }
  }
  for (auto& [index, gpu] : gpus) {
    gpu.index = index;
    report.gpus.push_back(std::move(gpu));
  }
  for (auto& [subject, tenant] : tenants) {
    tenant.subject = subject;
    report.tenants.push_back(std::move(tenant));
  }
  std::stable_sort(
      report.tenants.begin(), report.tenants.end(),
      [](const ReportTenant& a, const ReportTenant& b) { return a.gpu_seconds > b.gpu_seconds; });
  return report;
}

std::string report_markdown(const Report& report) {
  std::string text = "# GPUs of " + for_markdown(report.host) + "\n\n" + for_markdown(period_text(report)) +
                     "; made " + report.made + ".\n\n";
  text += "## GPUs\n\n" + markdown_table(gpu_rows(report));
  for (const ReportGpu& gpu : report.gpus)
    text += markdown_plot(report, gpu.use, str_format("GPU %u, use", gpu.index));
  text += "## Tenants\n\n" + markdown_table(tenant_rows(report));
  if (report.truncated) text += "There were more tenants than a report has.\n\n";
  for (const ReportTenant& tenant : report.tenants)
    text += markdown_plot(report, tenant.use, name_of(tenant) + ", GPU time");
  text += "## Events\n\n";
  return text + (report.events.empty() ? "None that is a warning or worse is known.\n"
                                       : markdown_table(event_rows(report)));
}

std::string report_html(const Report& report) {
  std::string text =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>GPUs of " +
      for_html(report.host) + "</title><style>" + kStyle + "</style></head><body>\n<h1>GPUs of " +
      for_html(report.host) + "</h1>\n<p>" + for_html(period_text(report)) + "; made " +
      for_html(report.made) + ".</p>\n<h2>GPUs</h2>\n" + html_table(gpu_rows(report));
  for (const ReportGpu& gpu : report.gpus)
    text += html_plot(report, gpu.use, 1, str_format("GPU %u: use, to 100%%", gpu.index));
  text += "<h2>Tenants</h2>\n" + html_table(tenant_rows(report));
  if (report.truncated) text += "<p>There were more tenants than a report has.</p>\n";
  for (const ReportTenant& tenant : report.tenants) {
    text += html_plot(report, tenant.use, 1, name_of(tenant) + ": part of the GPU's time, to 100%");
    const double most = std::max(tenant.limit, tenant.most_memory);
    text += html_plot(report, tenant.memory, most, name_of(tenant) + ": memory, to " + bytes(most));
  }
  text += "<h2>Events</h2>\n";
  text += report.events.empty() ? "<p>None that is a warning or worse is known.</p>\n"
                                : html_table(event_rows(report));
  return text + "</body></html>\n";
}

Json report_json(const Report& report) {
  Json object;
  object["host"] = report.host;
  object["time_ms"] = report.now_ms;
  object["gpus"] = Json::array();
  for (const ReportGpu& gpu : report.gpus) {
    object["gpus"].push_back({{"gpu", gpu.index},
                              {"mean_utilization_ratio", gpu.mean_use},
                              {"mean_memory_bytes", gpu.mean_memory},
                              {"most_memory_bytes", gpu.most_memory}});
  }
  object["tenants"] = Json::array();
  for (const ReportTenant& tenant : report.tenants) {
    object["tenants"].push_back({{"slice", tenant.subject.slice},
                                 {"gpu", tenant.subject.gpu ? Json(*tenant.subject.gpu) : Json(nullptr)},
                                 {"gpu_seconds", tenant.gpu_seconds},
                                 {"achieved_ratio", tenant.achieved},
                                 {"entitled_ratio", tenant.entitled},
                                 {"most_memory_bytes", tenant.most_memory},
                                 {"limit_bytes", tenant.limit},
                                 {"wait_seconds", tenant.wait_seconds},
                                 {"launches", tenant.launches},
                                 {"refusals", tenant.refusals},
                                 {"errors", tenant.errors},
                                 {"faults", tenant.faults},
                                 {"copied_to_device_bytes", tenant.to_device},
                                 {"copied_from_device_bytes", tenant.from_device}});
  }
  object["events"] = report.events;
  object["truncated"] = report.truncated;
  return object;
}

}  // namespace tessera::cli
