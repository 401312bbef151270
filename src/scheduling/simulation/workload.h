// What simulated tenants do, and what befalls them: drawn from a seed, or given.
#pragma once

#include <string>
#include <vector>

#include "scheduling/device_scheduler.h"
#include "scheduling/random.h"

namespace tessera::scheduling {

// Bursts of kernels with pauses between them; kernels of a burst follow one another.
struct Program {
  std::string name;
  TenantSpec spec;
  Nanoseconds starts_ns = 0;
  uint32_t kernels_per_burst = 1;  // 0: without end
  Nanoseconds kernel_ns = kMillisecond;
  bool kernels_vary =
      false;  // exponentially around kernel_ns, at most kLongestOverMean times it; else all alike
  Nanoseconds pause_ns = 0;  // mean, between bursts
  uint64_t bursts = 0;       // 0: without end

  static constexpr uint64_t kLongestOverMean = 4;
};

enum class FaultKind { kKill, kStart, kUpdate, kRestartScheduler, kClockBack, kClockForward };
struct Fault {
  Nanoseconds at_ns;
  FaultKind kind;
};

struct Workload {
  SchedulerConfig config;
  std::vector<Program> programs;
  std::vector<Fault> faults;  // in order of time
};

// 1 to 8 tenants of all classes and shapes, and a few faults.
Workload draw_workload(Random& random);
Program draw_program(Random& random, bool whole_gpu);

}  // namespace tessera::scheduling
