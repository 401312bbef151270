// One GPU and its tenants on a virtual clock, scheduled by the very DeviceScheduler that the daemon runs. The
// same workload and seed give the same run, to the last bit of trace_hash.
//
// The scheduler's time is what SteadyTime makes of a clock that faults set back and forth; what it promised
// is held against the time that really went by.
//
// The device: a tenant has one kernel in flight at most; it starts under a grant, while the width it needs is
// free, and runs to its end, as on a GPU without preemption. Where widths are measured it is kept to what its
// grant has, and takes as much longer as that is less than it needs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "common/steady_time.h"
#include "scheduling/co_execution.h"
#include "scheduling/qos/qos_controller.h"
#include "scheduling/simulation/invariants.h"
#include "scheduling/simulation/workload.h"

namespace tessera::scheduling {

struct TenantReport {
  std::string name;
  TenantSpec spec;
  uint64_t kernels = 0;
  Nanoseconds served_ns = 0;  // times the width it fills
  Nanoseconds present_ns = 0;
  std::vector<Nanoseconds> waits_ns = {};  // of each kernel, from when it could have run to its start
  WaitHistogram turn_waits = {};           // of the first kernel of each turn, lately
  uint32_t boost_permille = kWhole;        // at the end
};

struct SimulationResult {
  uint64_t decisions = 0;
  uint64_t switches = 0;  // grants that were given
  uint64_t trace_hash = 0;
  Nanoseconds elapsed_ns = 0;
  Nanoseconds busy_ns = 0;            // of the GPU, all widths together
  Nanoseconds company_ns = 0;         // with grants of several at once
  std::optional<std::string> broken;  // an invariant, with time and tenant
  std::vector<TenantReport> tenants;
};

struct SimulationLimits {
  uint64_t decisions = 10'000;
  Nanoseconds duration_ns = kNever;
  bool check_invariants = true;
  bool keep_waits = false;
  bool qos = true;          // with a QosController
  bool steady_time = true;  // else the scheduler is told what the clock says: a planted bug
};

class Simulator {
 public:
  Simulator(Workload workload, uint64_t seed, const SimulationLimits& limits, MakeScheduler make);
  // An error is a workload that the scheduler refuses.
  Result<SimulationResult> run();

 private:
  struct Client {
    Program program;
    size_t report;
    TenantId tenant = 0;
    bool present = false;
    uint64_t generation = 0;  // of events; older ones are another life's
    uint64_t queued = 0;      // kernels of this burst; kNever: without end
    uint64_t bursts_done = 0;
    bool running = false;
    Nanoseconds kernel_length_ns = 0;  // of the one that runs, or is next
    Nanoseconds ready_ns = 0;          // since when its next kernel could run
    Nanoseconds turn_ns = kNever;      // when the turn began in which it launched last
    Nanoseconds came_ns = 0;
    uint32_t fills_permille = 0;  // of the GPU, by the kernel that runs
  };
  enum class What { kStart, kBurst, kKernelEnd, kDecide, kAdjust, kFault };
  struct Event {
    Nanoseconds at_ns;
    uint64_t number;  // events of one instant stay in order
    What what;
    size_t index;
    uint64_t generation;
    bool operator>(const Event& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : number > other.number;
    }
  };

  void push(Nanoseconds at_ns, What what, size_t index);
  Status handle(const Event& event);
  Status admit(Client& client);
  Status start(size_t index);
  void begin_burst(size_t index);
  void end_kernel(size_t index);
  void kill(size_t index);
  Status strike(const Fault& fault);
  Status restart_scheduler();
  std::optional<size_t> any_present();
  Nanoseconds draw_kernel(const Program& program);
  void launch_granted();
  void decide();
  void fit_widths();
  void adjust();
  bool launch(size_t index, const Grant& grant);
  void keep_report(const Client& client);
  void note(uint64_t value);
  // The moment of which the scheduler says `due`.
  Nanoseconds when_due(Nanoseconds due);
  Nanoseconds clock() const { return clock_started_ + now_ + clock_skew_; }
  Nanoseconds told() { return limits_.steady_time ? time_.read(clock()) : clock(); }
  Observed& observe(size_t index);

  Workload workload_;
  Random random_;
  SimulationLimits limits_;
  MakeScheduler make_;
  bool whole_gpu_;
  std::unique_ptr<DeviceScheduler> scheduler_;
  Invariants invariants_;
  QosController qos_;
  CoExecution co_execution_;
  Nanoseconds adjust_at_ = kNever;  // the event in the queue
  std::vector<Client> clients_;
  std::vector<Observed> observed_;  // by TenantId
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t next_number_ = 0;
  Nanoseconds now_ = 0;
  // Wraps around where it is behind. A clock that has run for a day can be set back for a day.
  Nanoseconds clock_started_ = 86'400 * kSecond, clock_skew_ = 0;
  SteadyTime time_;
  Nanoseconds decide_at_ = kNever;
  uint32_t busy_width_ = 0;
  Nanoseconds any_busy_ns_ = 0;
  SimulationResult result_;
};

// The workload that `seed` draws, run under the scheduler that `make` makes (DeviceScheduler::create where
// none is given).
Result<SimulationResult> simulate_seed(uint64_t seed, const SimulationLimits& limits,
                                       MakeScheduler make = DeviceScheduler::create);
// Another kind, see draw_company().
Result<SimulationResult> simulate_company(uint64_t seed, const SimulationLimits& limits,
                                          MakeScheduler make = DeviceScheduler::create);

}  // namespace tessera::scheduling
