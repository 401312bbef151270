// gpu_scheduler: the daemon's scheduling policies against a workload, or against many random ones, on a
// virtual clock. Needs no GPU and no daemon.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>

#include "common/command_line.h"
#include "scheduling/program/cluster_command.h"
#include "scheduling/program/workload_file.h"
#include "scheduling/simulation/simulator.h"

namespace tessera::scheduling {
namespace {

constexpr int kExitFailure = 1;
constexpr uint64_t kMostOfEach = 1'000'000'000;  // seeds, and decisions of one

struct RunOptions {
  std::string workload;
  double seconds = 10;
  uint64_t seed = 1;
  std::string order, slice;  // empty: the workload's
  bool json = false;
};
struct CheckOptions {
  uint64_t first = 1, seeds = 1000, decisions = 10'000;
  bool json = false;
};

int fail(const Status& status, int code) {
  fprintf(stderr, "gpu_scheduler: %s\n", status.message().c_str());
  return code;
}

double quantile_ms(std::vector<Nanoseconds>& waits, double q) {
  if (waits.empty()) return 0;
  const auto nth = waits.begin() + static_cast<ptrdiff_t>(q * static_cast<double>(waits.size() - 1));
  std::nth_element(waits.begin(), nth, waits.end());
  return static_cast<double>(*nth) * 1e-6;
}

// Of how much each had, against its weight: 1 where all have their part.
double jain(const SimulationResult& result) {
  double sum = 0, squares = 0;
  for (const TenantReport& tenant : result.tenants) {
    const double part = tenant.spec.share_permille != 0 ? tenant.spec.share_permille : tenant.spec.weight;
    const double value = static_cast<double>(tenant.served_ns) / part;
    sum += value;
    squares += value * value;
  }
  return squares == 0 ? 1 : sum * sum / (static_cast<double>(result.tenants.size()) * squares);
}

void print_tenant(TenantReport& tenant, const SimulationResult& result, bool json, bool last) {
  const double had = 100 * static_cast<double>(tenant.served_ns) / static_cast<double>(result.elapsed_ns);
  const double p50 = quantile_ms(tenant.waits_ns, 0.5), p99 = quantile_ms(tenant.waits_ns, 0.99);
  const double longest = quantile_ms(tenant.waits_ns, 1);
  const double promised = tenant.spec.share_permille / 10.0;
  printf(
      json ? "  {\"name\": \"%s\", \"priority\": \"%s\", \"promised_percent\": %.1f, \"had_percent\": %.2f, "
             "\"kernels\": %" PRIu64 ", \"wait_p50_ms\": %.3f, \"wait_p99_ms\": %.3f, \"wait_max_ms\": %.3f}"
           : "%-20s %-9s %9.1f %8.2f %10" PRIu64 " %12.3f %12.3f %12.3f",
      tenant.name.c_str(), priority_name(tenant.spec.priority), promised, had, tenant.kernels, p50, p99,
      longest);
  puts(json && !last ? "," : "");
}

int run(const RunOptions& options) {
  auto workload = read_workload(options.workload);
  if (!workload.ok()) return fail(workload.status(), kUsageExit);
  if (!options.order.empty()) workload->config.order = options.order;
  if (!options.slice.empty()) workload->config.slice = options.slice;
  SimulationLimits limits;
  limits.decisions = UINT64_MAX;
  limits.duration_ns = static_cast<Nanoseconds>(options.seconds * 1e9);
  limits.keep_waits = true;
  auto result = Simulator(*workload, options.seed, limits, DeviceScheduler::create).run();
  if (!result.ok()) return fail(result.status(), kUsageExit);
  const double busy = 100 * static_cast<double>(result->busy_ns) / static_cast<double>(result->elapsed_ns);
  if (options.json) {
    puts("{\"tenants\": [");
  } else {
    printf("%-20s %-9s %9s %8s %10s %12s %12s %12s\n", "TENANT", "PRIORITY", "PROMISED%", "HAD%", "KERNELS",
           "WAIT P50 ms", "P99 ms", "MAX ms");
  }
  for (TenantReport& tenant : result->tenants) {
    print_tenant(tenant, *result, options.json, &tenant == &result->tenants.back());
  }
  printf(options.json ? " ], \"busy_percent\": %.2f, \"turns\": %" PRIu64 ", \"decisions\": %" PRIu64
                        ", \"jain\": %.4f, \"trace_hash\": \"%016" PRIx64 "\"}\n"
                      : "\nGPU busy %.2f %%, %" PRIu64 " turns, %" PRIu64
                        " decisions, Jain's index %.4f, trace %016" PRIx64 "\n",
         busy, result->switches, result->decisions, jain(*result), result->trace_hash);
  return result->broken
             ? fail(Status(Code::kInternal, "a promise was broken: " + *result->broken), kExitFailure)
             : 0;
}

int check(const CheckOptions& options) {
  const auto began = std::chrono::steady_clock::now();
  SimulationLimits limits;
  limits.decisions = options.decisions;
  uint64_t decisions = 0, broken = 0;
  if (options.json) puts("{\"broken\": [");
  for (uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    for (const auto simulate : {simulate_seed, simulate_company}) {
      const auto result = simulate(seed, limits, DeviceScheduler::create);
      if (!result.ok()) return fail(result.status(), kExitFailure);
      decisions += result->decisions;
      if (!result->broken) continue;
      if (options.json && broken > 0) puts(",");
      ++broken;
      printf(options.json ? "  {\"seed\": %" PRIu64 ", \"promise\": \"%s\"}" : "seed %" PRIu64 ": %s\n", seed,
             result->broken->c_str());
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  printf(options.json ? " ], \"seeds\": %" PRIu64 ", \"decisions\": %" PRIu64
                        ", \"seconds\": %.1f, \"broke\": %" PRIu64 "}\n"
                      : "%" PRIu64 " seeds, %" PRIu64 " decisions in %.1f s: %" PRIu64 " broke a promise\n",
         options.seeds, decisions, took.count(), broken);
  return broken == 0 ? 0 : kExitFailure;
}

int main_program(int argc, char** argv) {
  CLI::App app("The scheduling policies of tesserad on a virtual clock.", "gpu_scheduler");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("gpu_scheduler ") + TESSERA_VERSION);
  RunOptions run_options;
  CLI::App* run_command = app.add_subcommand("run", "run a workload; print shares, waits and fairness");
  run_command->add_option("WORKLOAD", run_options.workload, "YAML, see gpu_scheduler(1)")->required();
  run_command->add_option("--seconds", run_options.seconds, "of the virtual clock (default: 10)")
      ->check(CLI::Range(0.001, 1e6));
  run_command->add_option("--seed", run_options.seed,
                          "for what varies (default: 1); the same seed, the same run");
  run_command->add_option("--order", run_options.order, "weighted-fair, feedback or earliest-deadline");
  run_command->add_option("--slice", run_options.slice, "adaptive or fixed");
  run_command->add_flag("--json", run_options.json, "print JSON");
  CheckOptions check_options;
  CLI::App* check_command =
      app.add_subcommand("check", "run random workloads with faults; say where a promise is broken");
  const CLI::Range counts(uint64_t{1}, kMostOfEach);
  check_command->add_option("--seeds", check_options.seeds, "how many (default: 1000)")->check(counts);
  check_command->add_option("--first", check_options.first, "the first seed (default: 1)")->check(counts);
  check_command->add_option("--decisions", check_options.decisions, "of each (default: 10000)")
      ->check(counts);
  check_command->add_flag("--json", check_options.json, "print JSON");
  const auto cluster = add_cluster_command(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error);
  }
  if (is_chosen(*cluster)) return run_cluster(*cluster);
  return *run_command ? run(run_options) : check(check_options);
}

}  // namespace
}  // namespace tessera::scheduling

int main(int argc, char** argv) { return tessera::scheduling::main_program(argc, argv); }
