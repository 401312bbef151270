// What the user asked for, parsed and checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/hami_environment.h"
#include "cli/limit_command_options.h"
#include "cli/monitor_command_options.h"
#include "cli/serve_command_options.h"
#include "cli/server_options.h"
#include "cli/slice_command_options.h"
#include "cli/trace_command_options.h"

namespace tessera::cli {

inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

struct RunOptions : SliceOptions {
  std::string socket;
  ServerOptions remote;  // a server's GPUs instead of this machine's
  std::string slice;     // one that is there already; empty: a new one is made
  std::string name;
  bool summary = false;
  std::string json_summary;  // file, empty: none
  std::string trace;         // file for its allocations, empty: none
  HamiSettings hami;         // what HAMi's variables say beyond the memory limit
  std::vector<std::string> command;
};
struct PsOptions {
  std::string socket;
  bool json = false;
  std::string forgive;  // a program that keeps failing; empty: none
};
struct GpusOptions {
  std::string socket;
  bool json = false;
  std::optional<uint32_t> forgive;
};
struct DoctorOptions {
  std::string socket;
  bool json = false;
};
struct MetricsOptions {
  std::string socket;
  std::string output;  // a file; empty: standard output
};
struct TopoOptions {
  std::string socket;
  bool json = false;
  bool tree = false, matrix = false;  // neither: both
};
struct VersionOptions {};

using Options =
    std::variant<RunOptions, PsOptions, SetOptions, SlicePlanOptions, SliceCreateOptions, SliceListOptions,
                 SliceDeleteOptions, SliceBalanceOptions, GpusOptions, DoctorOptions, MetricsOptions,
                 TopoOptions, TraceReplayOptions, ServeOptions, LimitOptions, HistoryOptions,
                 AlertsListOptions, AlertsTestOptions, TopOptions, ReportOptions, VersionOptions>;

// Options, or the exit code where help was printed or the input is wrong; the message is printed already, one
// line.
std::variant<Options, int> parse_options(int argc, char** argv);

}  // namespace tessera::cli
