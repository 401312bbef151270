// tessera alerts: what is wrong now, and what rules would have told of the past.
#include <cstdio>
#include <map>

#include "cli/commands.h"
#include "cli/history_source.h"
#include "cli/plots.h"
#include "cli/table.h"
#include "common/clock.h"
#include "monitoring/alerts/alert_rules.h"
#include "node/alert_service.h"
#include "node/client.h"
#include "node/figures.h"

namespace tessera::cli {
namespace {

using monitoring::Alert;
using node::Json;

// Of the history that is read here, of a file of one's own.
constexpr size_t kMostJudged = 4096;

bool is_figure(std::string_view name) { return node::find_figure(name) != nullptr; }

Result<Json> ask_alerts(const std::string& socket) {
  TESSERA_ASSIGN_OR_RETURN(auto client, node::ControlClient::connect(socket));
  Json request;
  request["op"] = "alerts";
  TESSERA_ASSIGN_OR_RETURN(Json answer, client.ask(request));
  answer.erase("ok");
  return answer;
}

int64_t time_of(const Json& alert, const char* key) {
  const auto found = alert.find(key);
  return found != alert.end() && found->is_number() ? found->get<int64_t>() : 0;
}

void print_alerts(const Json& alerts, int64_t now_ms) {
  using enum Table::Align;
  Table table({{"STATE", kLeft}, {"SEVERITY", kLeft}, {"SINCE", kLeft}, {"ALERT", kLeft}});
  for (const Json& alert : alerts) {
    table.add({node::json_string(alert, "state"), node::json_string(alert, "severity"),
               clock_text(time_of(alert, "since_ms"), now_ms), node::json_string(alert, "summary")});
  }
  table.print();
}

// What the history has of one step, told to the engine as a sample is. Counters are kept as growth: they
// begin at 0.
class Replay {
 public:
  explicit Replay(std::vector<monitoring::AlertRule> rules) : engine_(std::move(rules)) {}

  void add(const monitoring::HistorySeries& series, const monitoring::HistoryPoint& point) {
    const monitoring::Metric* metric = node::find_figure(series.metric);
    double value = point.mean;
    if (metric != nullptr && metric->type == monitoring::MetricType::kCounter) {
      double& total = totals_[{series.metric, series.subject}];
      total += point.mean * point.seconds;
      value = total;
    }
    engine_.add(series.subject, series.metric, value, point.time_ms);
  }
  void judge(int64_t time_ms) {
    for (const Alert& alert : engine_.judge(time_ms))
      changes_.push_back(node::alert_json(alert, time_ms, static_cast<uint64_t>(time_ms)));
  }
  const Json& changes() const { return changes_; }

 private:
  monitoring::AlertEngine engine_;
  std::map<std::pair<std::string, monitoring::Subject>, double> totals_;
  Json changes_ = Json::array();
};

Status test(const AlertsTestOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(auto rules, monitoring::read_alert_rules(options.rules, is_figure));
  std::vector<std::string> metrics;
  for (const auto& rule : rules) {
    for (const std::string& name : {rule.metric, rule.of}) {
      if (name.empty() || std::find(metrics.begin(), metrics.end(), name) != metrics.end()) continue;
      if (options.since_ms > monitoring::kDayMs && !node::is_kept_long(name))
        fprintf(stderr, "tessera alerts test: %s is kept for a day: of what was before nothing is judged\n",
                name.c_str());
      metrics.push_back(name);
    }
  }
  TESSERA_ASSIGN_OR_RETURN(auto store, open_history(options));
  auto query = query_since(options, metrics, monitoring::kMostPoints);
  query.most_series = kMostJudged;
  TESSERA_ASSIGN_OR_RETURN(const auto answer, store.query(query));
  const size_t count = rules.size();
  Replay replay(std::move(rules));
  std::map<int64_t, std::vector<std::pair<const monitoring::HistorySeries*, const monitoring::HistoryPoint*>>>
      steps;
  for (const auto& series : answer.series) {
    for (const auto& point : series.points) steps[point.time_ms].emplace_back(&series, &point);
  }
  const int64_t first = steps.empty() ? query.now_ms : steps.begin()->first;
  for (int64_t time_ms = first; time_ms <= query.now_ms; time_ms += answer.step_ms) {
    for (const auto& [series, point] : steps[time_ms]) replay.add(*series, *point);
    replay.judge(time_ms);
  }
  if (options.json) {
    puts(node::json_text({{"rules", count},
                          {"step_ms", answer.step_ms},
                          {"truncated", answer.truncated},
                          {"changes", replay.changes()}},
                         2)
             .c_str());
    return Status();
  }
  if (answer.truncated)
    fprintf(stderr, "tessera alerts test: only the first %zu series were judged\n", answer.series.size());
  using enum Table::Align;
  Table table({{"TIME", kLeft}, {"STATE", kLeft}, {"SEVERITY", kLeft}, {"ALERT", kLeft}});
  for (const Json& change : replay.changes()) {
    const bool fires = node::json_string(change, "state") == "firing";
    table.add({clock_text(time_of(change, fires ? "fired_ms" : "resolved_ms"), query.now_ms),
               node::json_string(change, "state"), node::json_string(change, "severity"),
               node::json_string(change, "summary")});
  }
  table.print();
  return Status();
}

}  // namespace

int alerts_list_command(const AlertsListOptions& options) {
  const auto answer = ask_alerts(options.socket);
  if (!answer.ok()) {
    print_error("alerts list", answer.status());
    return kExitFailure;
  }
  if (options.json) {
    puts(node::json_text(*answer, 2).c_str());
    return 0;
  }
  if (node::json_uint(*answer, "rules").value_or(0) == 0)
    fprintf(stderr, "tessera alerts: the daemon has no rules; start it with 'tesserad --alerts FILE'\n");
  print_alerts(node::json_array(*answer, "alerts"), time_of(*answer, "time_ms"));
  return 0;
}

int alerts_test_command(const AlertsTestOptions& options) {
  const Status status = test(options);
  if (status.ok()) return 0;
  print_error("alerts test", status);
  return status.code() == Code::kInvalidArgument ? kExitUsage : kExitFailure;
}

}  // namespace tessera::cli
