// tessera report: a time in one file.
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>

#include "cli/commands.h"
#include "cli/history_source.h"
#include "cli/report_text.h"
#include "node/client.h"

namespace tessera::cli {
namespace {

using node::Json;

constexpr int64_t kPoints = 480;
constexpr size_t kMostTenants = 512;
constexpr size_t kMostEvents = 100;

// Those of a daemon that runs; what happened before its start it does not know.
Json grave_events(const std::string& socket, int64_t since_ms) {
  Json grave = Json::array();
  auto client = node::ControlClient::connect(socket);
  if (!client.ok()) return grave;
  Json request;
  request["op"] = "events";
  const auto answer = client->ask(request);
  if (!answer.ok()) return grave;
  for (const Json& event : node::json_array(*answer, "events")) {
    const bool is_late = static_cast<int64_t>(node::json_uint(event, "time_ms").value_or(0)) >= since_ms;
    if (is_late && node::json_string(event, "severity") != "info") grave.push_back(event);
  }
  while (grave.size() > kMostEvents) grave.erase(0);
  return grave;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "this node";
}

Result<Report> collect(const ReportOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(auto store, open_history(options));
  std::map<std::string, monitoring::HistoryAnswer> answers;
  // One metric at a time: an answer has a bounded number of series.
  auto query = query_since(options, {}, kPoints);
  query.most_series = kMostTenants;
  for (const std::string& metric : report_metrics()) {
    query.metrics = {metric};
    TESSERA_ASSIGN_OR_RETURN(answers[metric], store.query(query));
  }
  Report report = make_report(answers);
  report.host = host_name();
  report.now_ms = query.now_ms;
  report.period = "The last " + options.since;
  const auto seconds = static_cast<time_t>(query.now_ms / 1000);
  char made[32];
  tm local{};
  strftime(made, sizeof made, "%Y-%m-%d %H:%M", localtime_r(&seconds, &local));
  report.made = made;
  report.events = grave_events(options.socket, query.since_ms);
  return report;
}

Status write_to(const std::string& path, const std::string& text) {
  FILE* file = fopen(path.c_str(), "we");
  if (file == nullptr) return Status::from_errno(errno, "cannot write %s", path.c_str());
  const bool written = fwrite(text.data(), 1, text.size(), file) == text.size();
  if (fclose(file) == 0 && written) return Status();
  return Status::from_errno(errno, "cannot write %s", path.c_str());
}

}  // namespace

int report_command(const ReportOptions& options) {
  const auto report = collect(options);
  Status status = report.status();
  if (report.ok()) {
    std::string text = options.output.ends_with(".html") ? report_html(*report) : report_markdown(*report);
    if (options.json) text = node::json_text(report_json(*report), 2) + "\n";
    if (options.output.empty()) {
      fputs(text.c_str(), stdout);
    } else {
      status = write_to(options.output, text);
    }
  }
  if (status.ok()) return 0;
  print_error("report", status);
  return kExitFailure;
}

}  // namespace tessera::cli
