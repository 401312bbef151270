#include "cli/compute_options.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>

#include "scheduling/duration.h"

namespace tessera::cli {

Result<uint32_t> parse_permille(const std::string& text) {
  char* end = nullptr;
  const double percent = std::strtod(text.c_str(), &end);
  const bool ends = end != text.c_str() && (*end == '\0' || std::string_view(end) == "%");
  const double permille = std::round(percent * 10);
  if (ends && percent <= 100 && permille >= 1) return static_cast<uint32_t>(permille);
  return Status::error(Code::kInvalidArgument, "a percentage from 0.1 to 100, not '%s'", text.c_str());
}

void add_compute_options(CLI::App* command, RawCompute& raw, bool changes_a_slice) {
  command
      ->add_option(
          "--sm", raw.share,
          "share of the GPU's time, in percent, promised; what others leave idle may be used beyond it")
      ->type_name("PERCENT");
  CLI::Option* cap = command->add_flag("--sm-cap", raw.cap, "never more than --sm, even if the GPU idles");
  if (changes_a_slice) {
    command->add_flag("--no-sm-cap", raw.no_cap, "what others leave idle may be used again")->excludes(cap);
  }
  command
      ->add_option(
          "--sm-mode", raw.mode,
          "how --sm is held: time (in turns), space (SMs of its own) or auto (space where the share is a "
          "whole number of SMs, default)")
      ->type_name("MODE");
  command->add_option("--priority", raw.priority, "realtime, high, normal, low or idle")->type_name("CLASS");
  command
      ->add_option("--weight", raw.weight,
                   "against others of the class that have no --sm (default: 100; at most 10000)")
      ->type_name("N");
  command
      ->add_option("--slo", raw.slo,
                   changes_a_slice ? "of 100 waits for the GPU, 99 should be no longer, as p99=2ms; or none"
                                   : "of 100 waits for the GPU, 99 should be no longer, as p99=2ms")
      ->type_name("p99=TIME");
  command
      ->add_option("--qos", raw.qos,
                   "guaranteed, burstable or best-effort: who yields where not all can have what they were "
                   "promised (default: by what was promised)")
      ->type_name("CLASS");
  CLI::Option* copies = command->add_flag(
      "--gate-copies", raw.gate_copies, "copies and sets of memory wait for the slice's turn, as kernels do");
  if (changes_a_slice) {
    command->add_flag("--no-gate-copies", raw.no_gate_copies, "they do not, any more")->excludes(copies);
  }
}

namespace {

// "p99=2ms", or "none": 0.
Result<uint64_t> parse_slo(const std::string& text) {
  constexpr std::string_view kP99 = "p99=";
  if (text == "none") return 0;
  if (!text.starts_with(kP99)) {
    return Status::error(Code::kInvalidArgument, "p99=TIME, as in p99=2ms, or none, not '%s'", text.c_str());
  }
  TESSERA_ASSIGN_OR_RETURN(uint64_t target, scheduling::parse_duration(text.substr(kP99.size())));
  if (target >= scheduling::kMicrosecond && target <= scheduling::kLongestTarget) return target;
  return Status(Code::kInvalidArgument, "p99: from 1us to 60s");
}

}  // namespace

Result<ComputeOptions> parse_compute_options(const RawCompute& raw) {
  ComputeOptions options;
  if (!raw.share.empty()) {
    auto share = parse_permille(raw.share);
    if (!share.ok()) return share.status().with_context("--sm");
    options.share_permille = *share;
  }
  if (raw.cap) options.capped = true;
  if (raw.no_cap) options.capped = false;
  if (raw.gate_copies) options.gate_copies = true;
  if (raw.no_gate_copies) options.gate_copies = false;
  if (!raw.mode.empty()) {
    options.mode = partitioning::parse_sm_mode(raw.mode);
    if (!options.mode) {
      return Status::error(Code::kInvalidArgument, "--sm-mode: auto, time or space, not '%s'",
                           raw.mode.c_str());
    }
  }
  if (!raw.priority.empty()) {
    options.priority = scheduling::parse_priority(raw.priority);
    if (!options.priority) {
      return Status::error(Code::kInvalidArgument,
                           "--priority: realtime, high, normal, low or idle, not '%s'", raw.priority.c_str());
    }
  }
  if (raw.weight && (*raw.weight < 1 || *raw.weight > scheduling::kMaxWeight)) {
    return Status::error(Code::kInvalidArgument, "--weight: 1 to %u, not %u", scheduling::kMaxWeight,
                         *raw.weight);
  }
  options.weight = raw.weight;
  if (!raw.slo.empty()) {
    auto target = parse_slo(raw.slo);
    if (!target.ok()) return target.status().with_context("--slo");
    options.slo_p99_ns = *target;
  }
  if (!raw.qos.empty() && raw.qos != "auto" && !scheduling::parse_qos(raw.qos)) {
    return Status::error(Code::kInvalidArgument,
                         "--qos: guaranteed, burstable, best-effort or auto, not '%s'", raw.qos.c_str());
  }
  options.qos = raw.qos;
  return options;
}

node::Json compute_request(const ComputeOptions& options) {
  node::Json request = node::Json::object();
  if (options.share_permille) request["share_permille"] = *options.share_permille;
  if (options.capped) request["capped"] = *options.capped;
  if (options.mode) request["mode"] = partitioning::sm_mode_name(*options.mode);
  if (options.priority) request["priority"] = scheduling::priority_name(*options.priority);
  if (options.weight) request["weight"] = *options.weight;
  if (options.slo_p99_ns) request["slo_p99_ns"] = *options.slo_p99_ns;
  if (options.gate_copies) request["gate_copies"] = *options.gate_copies;
  if (!options.qos.empty()) request["qos"] = options.qos;
  return request;
}

}  // namespace tessera::cli
