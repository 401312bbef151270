// One function per subcommand; each returns the exit code.
#pragma once

#include "cli/options.h"
#include "common/status.h"

namespace tessera::cli {

int run_command(const RunOptions& options);
int ps_command(const PsOptions& options);
int set_command(const SetOptions& options);
int slice_plan_command(const SlicePlanOptions& options);
int slice_create_command(const SliceCreateOptions& options);
int slice_list_command(const SliceListOptions& options);
int slice_delete_command(const SliceDeleteOptions& options);
int slice_balance_command(const SliceBalanceOptions& options);
int gpus_command(const GpusOptions& options);
int doctor_command(const DoctorOptions& options);
int metrics_command(const MetricsOptions& options);
int topo_command(const TopoOptions& options);
int trace_replay_command(const TraceReplayOptions& options);
int history_command(const HistoryOptions& options);
int alerts_list_command(const AlertsListOptions& options);
int alerts_test_command(const AlertsTestOptions& options);
int top_command(const TopOptions& options);
int report_command(const ReportOptions& options);
int serve_command(const ServeOptions& options);
int limit_command(const LimitOptions& options);

// What gpus_json() says, with what the daemon knows beyond it where one runs; `forgive`: a GPU that is to be
// let in again before.
Result<node::Json> ask_gpus(const std::string& socket, std::optional<uint32_t> forgive = std::nullopt);

// {"slices": [...]}, as tesserad has them. Without it there is none: that is an answer, not an error.
Result<node::Json> ask_slices(const std::string& socket);

// "tessera COMMAND: message" on standard error.
void print_error(const char* command, const Status& status);

}  // namespace tessera::cli
