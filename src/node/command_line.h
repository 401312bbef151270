// The command line of tesserad.
#pragma once

#include <optional>
#include <string>

#include "node/daemon.h"
#include "node/runtime_path.h"
#include "node/webhook_sender.h"

namespace tessera::node {

inline constexpr int kExitUsage = 2;

struct CommandLine {
  std::string socket = default_socket_path();
  bool foreground = false;
  bool print_inventory = false;
  bool tell_inventory = false;
  bool print_xids = false;
  uint64_t idle_exit_s = 0;
  bool refuse_faulty = false;
  scheduling::SchedulerConfig scheduling = ComputeBroker::default_config();
  partitioning::Packing packing = partitioning::Packing::kSpread;
  RoundPolicy round_policy = RoundPolicy::kWarn;
  bool co_execution = true;
  uint32_t overcommit_permille = 1000;
  bool counts_needs = false;
  uint64_t working_set_window_s = memory::WorkingSet::kWindowNs / 1'000'000'000;
  uint64_t residence_round_s = partitioning::kResidenceRoundNs / 1'000'000'000;
  memory::SwapOptions swap;
  uint64_t swap_host_bytes = 0;
  bool use_mps = false;
  std::optional<HttpOptions> http;
  std::string history;  // file; empty: none is kept
  std::vector<monitoring::AlertRule> rules;
  WebhookOptions webhook;  // without an address alerts are sent nowhere
  std::string webhook_secret_file;
  bool keep_history = false, send_webhooks = false;  // what the daemon starts itself as
};

// The exit code where there is nothing left to do.
std::optional<int> parse_command_line(int argc, char** argv, CommandLine& options);

}  // namespace tessera::node
