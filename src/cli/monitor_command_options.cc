#include "cli/monitor_command_options.h"

#include <CLI/CLI.hpp>

#include "cli/slice_command_options.h"
#include "monitoring/alerts/alert_rules.h"
#include "monitoring/history/history_store.h"
#include "node/figures.h"

namespace tessera::cli {
namespace {

void add_source(CLI::App* command, HistorySource& source) {
  command->add_option("--file", source.file, "the history's file (default: that of the daemon)")
      ->type_name("FILE");
  command
      ->add_option("--since", source.since, "how far back, as 30m, 2h or 7d (default: " + source.since + ")")
      ->type_name("TIME");
}

Status check_source(HistorySource& source) {
  TESSERA_ASSIGN_OR_RETURN(source.since_ms, monitoring::parse_span_ms(source.since));
  if (source.since_ms == 0) return Status(Code::kInvalidArgument, "--since is longer than nothing");
  return Status();
}

// Known ones, by their short names.
Status check_metrics(std::vector<std::string>& metrics) {
  for (std::string& name : metrics) {
    const monitoring::Metric* metric = node::find_figure(name);
    if (metric == nullptr)
      return Status(Code::kInvalidArgument, "'" + name + "' is no metric of the history; --list names them");
    name = node::short_name(*metric);
  }
  return Status();
}

}  // namespace

void MonitorParser::add(CLI::App& app) {
  history_command_ =
      app.add_subcommand("history", "show figures of the past, where 'tesserad --history' keeps them");
  add_common(history_command_, history_.socket, &history_.json);
  add_source(history_command_, history_);
  // One word each time, of as many names as there are commas for.
  history_command_
      ->add_option("--metric", history_.metrics, "which figures, separated by commas, or said several times")
      ->type_name("NAME,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  history_command_->add_option("--gpu", history_.gpu, "only of this GPU")->type_name("N");
  history_command_->add_option("--slice", history_.slice, "only of this slice")->type_name("NAME");
  history_command_->add_option("--points", history_.points, "at most so many points of a series, 1 to 2000")
      ->type_name("N")
      ->check(CLI::Range(1, static_cast<int>(monitoring::kMostPoints)));
  history_command_->add_flag("--csv", history_.csv, "print all points, separated by commas");
  history_command_->add_flag("--list", history_.list, "name the figures that there are");

  CLI::App* alerts = app.add_subcommand("alerts", "show what is wrong, and try rules on the past");
  alerts->require_subcommand(1);
  list_command_ =
      alerts->add_subcommand("list", "list alerts that are pending, firing, or were resolved lately");
  add_common(list_command_, list_.socket, &list_.json);
  test_command_ = alerts->add_subcommand("test", "say what rules would have told of the history");
  add_common(test_command_, test_.socket, &test_.json);
  test_command_->add_option("RULES", test_.rules, "a file of rules, see docs/alerts.md")->required();
  add_source(test_command_, test_);

  top_command_ = app.add_subcommand("top", "watch GPUs and slices in the terminal");
  add_common(top_command_, top_.socket, &top_.json);
  top_command_->add_flag("--once", top_.once, "print once what there is now");
  top_command_->add_flag("--no-color", top_.no_colour, "without colours, as where NO_COLOR is set");
  top_command_->add_option("--interval", top_.seconds, "seconds between looks, 0.2 to 60 (default: 1)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.2, 60.0));

  report_.since = "24h";
  report_command_ = app.add_subcommand("report", "write a report of a time: use, promises, events");
  add_common(report_command_, report_.socket, &report_.json);
  add_source(report_command_, report_);
  report_command_->add_option("--output", report_.output, "a file, .html or .md (default: Markdown, printed)")
      ->type_name("FILE");
}

bool MonitorParser::chosen() const {
  return *history_command_ || *list_command_ || *test_command_ || *top_command_ || *report_command_;
}

Result<MonitorOptions> MonitorParser::parse() {
  if (*list_command_) return MonitorOptions(list_);
  if (*top_command_) {
    if (top_.json && !top_.once) return Status(Code::kInvalidArgument, "--json goes with --once");
    return MonitorOptions(top_);
  }
  if (*test_command_) {
    TESSERA_RETURN_IF_ERROR(check_source(test_));
    return MonitorOptions(test_);
  }
  if (*report_command_) {
    TESSERA_RETURN_IF_ERROR(check_source(report_));
    const bool known =
        report_.output.empty() || report_.output.ends_with(".html") || report_.output.ends_with(".md");
    if (!known) return Status(Code::kInvalidArgument, "--output ends with .html or .md");
    return MonitorOptions(report_);
  }
  TESSERA_RETURN_IF_ERROR(check_source(history_));
  TESSERA_RETURN_IF_ERROR(check_metrics(history_.metrics));
  if (history_.csv && history_.json)
    return Status(Code::kInvalidArgument, "--csv and --json do not go together");
  return MonitorOptions(history_);
}

}  // namespace tessera::cli
