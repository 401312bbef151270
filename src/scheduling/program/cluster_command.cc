#include "scheduling/program/cluster_command.h"

#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cinttypes>
#include <cstdio>

#include "scheduling/cluster/cluster_simulator.h"

namespace tessera::scheduling {

struct ClusterCommand {
  CLI::App* command = nullptr;
  ClusterConfig config;
  std::string policy = "spread";
  bool json = false;
};

namespace {

constexpr uint32_t kMostGpus = 100'000;
constexpr uint64_t kMostJobs = 100'000'000;

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;  // Linux gives KiB
}

void draw_progress(uint64_t done, uint64_t all) {
  constexpr int kWidth = 40;
  const int filled = static_cast<int>(done * kWidth / all);
  fprintf(stderr, "\r[%.*s%*s] %3d %%", filled, "########################################", kWidth - filled,
          "", static_cast<int>(done * 100 / all));
}

double ms(Nanoseconds time) { return static_cast<double>(time) * 1e-6; }

void print(const ClusterCommand& options, const ClusterResult& result, double wall_seconds) {
  const char* format =
      options.json
          ? "{\"gpus\": %u, \"jobs\": %" PRIu64 ", \"policy\": \"%s\", \"seed\": %" PRIu64
            ", \"virtual_seconds\": %.3f, "
            "\"utilisation_percent\": %.2f, \"turn_wait_p50_ms\": %.3f, \"turn_wait_p99_ms\": %.3f, "
            "\"queue_wait_p50_ms\": %.3f, \"queue_wait_p99_ms\": %.3f, \"jain\": %.4f, \"moves\": %" PRIu64
            ", \"restarts\": %" PRIu64 ", \"gpu_faults\": %" PRIu64 ", \"dropped\": %" PRIu64
            ", \"kernels\": %" PRIu64 ", \"decisions\": %" PRIu64
            ", \"wall_seconds\": %.3f, \"peak_mib\": %.1f, "
            "\"trace_hash\": \"%016" PRIx64 "\"}\n"
          : "%u GPUs, %" PRIu64 " jobs, %s, seed %" PRIu64
            ": %.1f s of the virtual clock\n"
            "utilisation while jobs arrived   %.2f %%\n"
            "waits for a turn                 p50 %.3f ms, p99 %.3f ms\n"
            "waits for a GPU                  p50 %.3f ms, p99 %.3f ms\n"
            "Jain's index of the jobs' speeds %.4f\n"
            "re-placements                    %" PRIu64
            "\n"
            "restarts of jobs                 %" PRIu64 ", after %" PRIu64
            " faults of GPUs and those of jobs; %" PRIu64
            " jobs given up\n"
            "kernels, decisions               %" PRIu64 ", %" PRIu64
            "\n"
            "wall time, peak memory           %.2f s, %.1f MiB\n"
            "trace                            %016" PRIx64 "\n";
  constexpr uint32_t kP50 = 500, kP99 = 990;
  printf(format, options.config.gpus, options.config.jobs, options.policy.c_str(), options.config.seed,
         static_cast<double>(result.elapsed_ns) * 1e-9, result.utilisation * 100,
         ms(result.turn_waits.quantile(kP50)), ms(result.turn_waits.quantile(kP99)),
         ms(result.queue_waits.quantile(kP50)), ms(result.queue_waits.quantile(kP99)), result.jain,
         result.moves, result.restarts, result.gpu_faults, result.dropped, result.kernels, result.decisions,
         wall_seconds, peak_mib(), result.trace_hash);
}

}  // namespace

std::shared_ptr<ClusterCommand> add_cluster_command(CLI::App& app) {
  auto options = std::make_shared<ClusterCommand>();
  CLI::App* command =
      app.add_subcommand("cluster", "run drawn jobs on many GPUs, with faults and re-placements");
  options->command = command;
  command->add_option("--gpus", options->config.gpus, "default: 100")->check(CLI::Range(1u, kMostGpus));
  command->add_option("--jobs", options->config.jobs, "default: 10000")
      ->check(CLI::Range(uint64_t{1}, kMostJobs));
  command->add_option("--seed", options->config.seed,
                      "of all that is drawn (default: 1); the same seed, the same run");
  command->add_option("--policy", options->policy, "spread (default) or pack");
  command->add_option("--load", options->config.load, "of the cluster while jobs arrive, of 1 (default: 0.7)")
      ->check(CLI::Range(0.01, 2.0));
  command->add_flag("--json", options->json, "print JSON");
  return options;
}

bool is_chosen(const ClusterCommand& command) { return command.command->parsed(); }

int run_cluster(const ClusterCommand& options) {
  ClusterConfig config = options.config;
  const auto policy = parse_balance_policy(options.policy);
  if (!policy.ok()) {
    fprintf(stderr, "gpu_scheduler: %s\n", policy.status().message().c_str());
    return 2;
  }
  config.policy = *policy;
  const bool watched = isatty(STDERR_FILENO) == 1;
  const auto began = std::chrono::steady_clock::now();
  auto result = ClusterSimulator(config).run([&](uint64_t done) {
    if (watched) draw_progress(done, config.jobs);
  });
  if (watched) fputs("\r\033[K", stderr);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  if (result.ok()) print(options, *result, took.count());
  const Status status =
      !result.ok()
          ? result.status()
          : (result->broken ? Status(Code::kInternal, "a promise was broken: " + *result->broken) : Status());
  if (status.ok()) return 0;
  fprintf(stderr, "gpu_scheduler: %s\n", status.message().c_str());
  return 1;
}

}  // namespace tessera::scheduling
