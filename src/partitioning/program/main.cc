// hybrid_slicing: the planner of slices, in time, in space and in both, under slices that come, change and
// go. Needs no GPU and no daemon.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cinttypes>
#include <cstdio>

#include "common/command_line.h"
#include "common/size.h"
#include "partitioning/program/churn.h"

namespace tessera::partitioning {
namespace {

constexpr int kExitFailure = 1;

constexpr ChurnPolicy kPolicies[] = {
    {"hybrid, spread", SmMode::kAuto, Packing::kSpread},
    {"hybrid, binpack", SmMode::kAuto, Packing::kBinpack},
    {"time, spread", SmMode::kTime, Packing::kSpread},
    {"time, binpack", SmMode::kTime, Packing::kBinpack},
    {"space, spread", SmMode::kSpace, Packing::kSpread},
    {"space, binpack", SmMode::kSpace, Packing::kBinpack},
};

double percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

void print_header(const ChurnOptions& options) {
  printf("%u GPUs of %s and %u SMs, %.0f %% of their compute offered, %" PRIu64 " slices, seed %" PRIu64
         "\n\n",
         options.gpus, format_size(options.memory_bytes).c_str(), options.sms, 100 * options.load,
         options.arrivals, options.seed);
  printf("%-16s %9s %9s %9s %9s %9s %9s %7s %8s\n", "policy", "refused", "in space", "resizes", "compute",
         "memory", "beyond", "whole", "us each");
  printf("%-16s %9s %9s %9s %9s %9s %9s %7s %8s\n", "", "%", "%", "refused %", "promised%", "promised%",
         "promise %", "GPUs", "plan");
}

void print_result(const char* name, const ChurnResult& result, double us_per_plan, bool json, bool first) {
  printf(json ? "%s  {\"policy\": \"%s\", \"refused_percent\": %.3f, \"in_space_percent\": %.2f, "
                "\"resizes_refused_percent\": %.3f, \"promised_compute_percent\": %.2f, "
                "\"promised_memory_percent\": %.2f, \"held_beyond_promise_percent\": %.3f, "
                "\"gpus_without_slices\": %.3f, \"us_per_plan\": %.3f, \"hash\": \"%016" PRIx64 "\"}"
              : "%s%-16s %9.2f %9.1f %9.2f %9.1f %9.1f %9.2f %7.2f %8.2f\n",
         json && !first ? ",\n" : "", name, percent(result.refused, result.arrivals),
         percent(result.in_space, result.arrivals - result.refused),
         percent(result.resizes_refused, result.resizes), 100 * result.promised_compute,
         100 * result.promised_memory, 100 * result.held_beyond_promise, result.whole_gpus, us_per_plan,
         result.hash);
}

int run(const ChurnOptions& options, bool json) {
  if (json) {
    puts("[");
  } else {
    print_header(options);
  }
  bool first = true;
  for (const ChurnPolicy& policy : kPolicies) {
    if (!options.space && policy.mode == SmMode::kSpace) continue;
    const auto began = std::chrono::steady_clock::now();
    const ChurnResult result = run_churn(options, policy);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - began;
    if (!result.broken.ok()) {
      fprintf(stderr, "hybrid_slicing: %s: %s (seed %" PRIu64 ")\n", policy.name,
              result.broken.message().c_str(), options.seed);
      return kExitFailure;
    }
    const double each = took.count() / static_cast<double>(result.arrivals + result.resizes);
    print_result(policy.name, result, each, json, first);
    first = false;
  }
  if (json) puts("\n]");
  return 0;
}

int program(int argc, char** argv) {
  CLI::App app("The planner of slices under slices that come, change and go.", "hybrid_slicing");
  ChurnOptions options;
  std::string memory;
  bool json = false, no_space = false;
  app.add_option("--gpus", options.gpus, "GPUs (8)")->check(CLI::Range(1, 4096));
  app.add_option("--sms", options.sms, "SMs of each (132)")
      ->check(CLI::Range(1, static_cast<int>(IndexSet::kMax)));
  app.add_option("--mem", memory, "memory of each (80GiB)")->type_name("SIZE");
  app.add_option("--arrivals", options.arrivals, "slices that ask (20000)")
      ->check(CLI::Range(1, 100'000'000));
  app.add_option("--load", options.load, "of the GPUs' compute, offered; above 1 more than there is (0.9)")
      ->check(CLI::Range(0.01, 100.0));
  app.add_option("--seed", options.seed, "of the slices' sizes and times (1)");
  app.add_flag("--no-space", no_space, "devices that cannot keep kernels to some SMs");
  app.add_flag("--json", json, "print JSON");
  app.set_version_flag("--version", std::string("hybrid_slicing ") + TESSERA_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);  // help or version, printed
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  options.space = !no_space;
  if (!memory.empty()) {
    auto bytes = parse_size(memory);
    if (!bytes.ok()) return usage_error("hybrid_slicing", "--mem: " + bytes.status().message());
    options.memory_bytes = *bytes;
  }
  return run(options, json);
}

}  // namespace
}  // namespace tessera::partitioning

// Nothing here throws on purpose; libraries below may.
int main(int argc, char** argv) {
  try {
    return tessera::partitioning::program(argc, argv);
  } catch (const std::exception& error) {
    fprintf(stderr, "hybrid_slicing: %s\n", error.what());
    return tessera::partitioning::kExitFailure;
  }
}
