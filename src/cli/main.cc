// tessera: what users type.
#include <cstdio>
#include <exception>

#include "cli/commands.h"
#include "common/log.h"

namespace tessera::cli {

void print_error(const char* command, const Status& status) {
  fprintf(stderr, "tessera %s: %s\n", command, status.message().c_str());
}

namespace {

struct Dispatch {
  int operator()(const RunOptions& options) const { return run_command(options); }
  int operator()(const PsOptions& options) const { return ps_command(options); }
  int operator()(const SetOptions& options) const { return set_command(options); }
  int operator()(const SlicePlanOptions& options) const { return slice_plan_command(options); }
  int operator()(const SliceCreateOptions& options) const { return slice_create_command(options); }
  int operator()(const SliceListOptions& options) const { return slice_list_command(options); }
  int operator()(const SliceDeleteOptions& options) const { return slice_delete_command(options); }
  int operator()(const SliceBalanceOptions& options) const { return slice_balance_command(options); }
  int operator()(const GpusOptions& options) const { return gpus_command(options); }
  int operator()(const DoctorOptions& options) const { return doctor_command(options); }
  int operator()(const MetricsOptions& options) const { return metrics_command(options); }
  int operator()(const TopoOptions& options) const { return topo_command(options); }
  int operator()(const TraceReplayOptions& options) const { return trace_replay_command(options); }
  int operator()(const HistoryOptions& options) const { return history_command(options); }
  int operator()(const AlertsListOptions& options) const { return alerts_list_command(options); }
  int operator()(const AlertsTestOptions& options) const { return alerts_test_command(options); }
  int operator()(const TopOptions& options) const { return top_command(options); }
  int operator()(const ReportOptions& options) const { return report_command(options); }
  int operator()(const ServeOptions& options) const { return serve_command(options); }
  int operator()(const LimitOptions& options) const { return limit_command(options); }
  int operator()(const VersionOptions&) const {
    puts("tessera " TESSERA_VERSION);
    return 0;
  }
};

int cli_main(int argc, char** argv) {
  log_init("tessera", "TESSERA_LOG");
  auto parsed = parse_options(argc, argv);
  if (auto* code = std::get_if<int>(&parsed)) return *code;
  return std::visit(Dispatch{}, std::get<Options>(parsed));
}

}  // namespace
}  // namespace tessera::cli

// Nothing here throws on purpose; libraries below may (memory, a variant, an option declared wrongly).
int main(int argc, char** argv) {
  try {
    return tessera::cli::cli_main(argc, argv);
  } catch (const std::exception& error) {
    fprintf(stderr, "tessera: %s\n", error.what());
    return tessera::cli::kExitFailure;
  }
}
