// tessera history: figures of the past.
#include <langinfo.h>

#include <clocale>
#include <cstdio>
#include <cstring>

#include "cli/commands.h"
#include "cli/history_source.h"
#include "cli/plots.h"
#include "cli/table.h"
#include "common/strings.h"
#include "node/figures.h"
#include "node/history_keeper.h"

namespace tessera::cli {
namespace {

using monitoring::HistoryAnswer;
using monitoring::HistoryPoint;
using monitoring::HistorySeries;

constexpr int64_t kTablePoints = 40, kListPoints = 300;
constexpr size_t kMostBars = 60;

bool speaks_utf8() {
  setlocale(LC_CTYPE, "");
  return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

std::string gpu_text(const monitoring::Subject& subject) {
  return subject.gpu ? std::to_string(*subject.gpu) : "-";
}

void print_table(const HistoryAnswer& answer, int64_t now_ms) {
  using enum Table::Align;
  const bool ascii = !speaks_utf8();
  PlotTime time;
  for (const HistorySeries& series : answer.series) time.add(series, answer.step_ms);
  const std::string heading = time.text(now_ms);
  Table table({{"METRIC", kLeft},
               {"SLICE", kLeft},
               {"GPU", kRight},
               {"LEAST", kRight},
               {"MEAN", kRight},
               {"MOST", kRight},
               {"LATEST", kRight},
               {heading.c_str(), kLeft}});
  for (const HistorySeries& series : answer.series) {
    double least = series.points[0].least, most = series.points[0].most, sum = 0, seconds = 0;
    for (const HistoryPoint& point : series.points) {
      least = std::min(least, point.least);
      most = std::max(most, point.most);
      sum += point.mean * point.seconds;
      seconds += point.seconds;
    }
    const auto text = [&](double value) { return figure_text(series.metric, value); };
    table.add({series.metric, series.subject.slice.empty() ? "-" : series.subject.slice,
               gpu_text(series.subject), text(least), text(sum / seconds), text(most),
               text(series.points.back().mean), sparkline(series, time, kMostBars, ascii)});
  }
  table.print();
}

// Names may be anything: quoted as RFC 4180 has it.
std::string csv_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

void print_csv(const HistoryAnswer& answer) {
  puts("time_ms,metric,slice,gpu,mean,least,most,seconds");
  for (const HistorySeries& series : answer.series) {
    for (const HistoryPoint& point : series.points) {
      printf("%lld,%s,%s,%s,%.9g,%.9g,%.9g,%.9g\n", static_cast<long long>(point.time_ms),
             series.metric.c_str(), csv_text(series.subject.slice).c_str(),
             series.subject.gpu ? std::to_string(*series.subject.gpu).c_str() : "", point.mean, point.least,
             point.most, point.seconds);
    }
  }
}

void print_metrics(bool json) {
  node::Json names = node::Json::array();
  for (const monitoring::Metric* metric : node::all_figures()) {
    const std::string name(node::short_name(*metric));
    const char* kept = node::is_kept_long(name) ? "month" : "day";
    if (!json) printf("%-40s  %-5s  %s\n", name.c_str(), kept, metric->help);
    names.push_back({{"name", name}, {"kept", kept}});
  }
  if (json) puts(node::json_text({{"metrics", names}}, 2).c_str());
}

Status show(const HistoryOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(auto store, open_history(options));
  std::vector<std::string> metrics = options.metrics;
  if (metrics.empty())
    metrics = {"gpu_utilization_ratio", "gpu_memory_used_bytes", "slice_memory_used_bytes",
               "slice_share_achieved_ratio"};
  const bool whole = options.json || options.csv;
  int64_t points = whole ? kListPoints : kTablePoints;
  if (options.points != 0) points = options.points;
  auto query = query_since(options, std::move(metrics), points);
  query.slice = options.slice;
  query.gpu = options.gpu;
  TESSERA_ASSIGN_OR_RETURN(const HistoryAnswer answer, store.query(query));
  if (options.json) {
    node::Json object = node::history_json(answer);
    object["time_ms"] = query.now_ms;
    puts(node::json_text(object, 2).c_str());
    return Status();
  }
  if (options.csv) {
    print_csv(answer);
  } else if (!answer.series.empty()) {
    print_table(answer, query.now_ms);
  }
  if (answer.series.empty())
    fprintf(stderr, "tessera history: nothing of that was recorded in the last %s\n", options.since.c_str());
  if (answer.truncated)
    fprintf(stderr, "tessera history: there are more series; ask for fewer by --metric, --slice or --gpu\n");
  return Status();
}

}  // namespace

int history_command(const HistoryOptions& options) {
  if (options.list) {
    print_metrics(options.json);
    return 0;
  }
  const Status status = show(options);
  if (status.ok()) return 0;
  print_error("history", status);
  return kExitFailure;
}

}  // namespace tessera::cli
