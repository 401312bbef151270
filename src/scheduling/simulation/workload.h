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
  // Where widths are measured: what its driver says instead of its width, and how much longer its kernels are
  // beside others'.
  uint32_t claims_permille = 0;  // 0: the truth
  uint32_t hurt_permille = 0;

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
  // The scheduler is not told widths: a CoExecution finds them out, and tenants are kept to them.
  bool measured_widths = false;
};

// 1 to 8 tenants of all classes and shapes, and a few faults.
Workload draw_workload(Random& random);
Program draw_program(Random& random, bool whole_gpu);
// 2 to 6 tenants of one class that always have work, of measured widths; some lie about them, some are hurt.
Workload draw_company(Random& random);

}  // namespace tessera::scheduling
