// Many GPUs and many jobs on a virtual clock: jobs arrive, are placed by the Balancer, share their GPU by the
// very DeviceScheduler that the daemon runs, fail and come back by scheduling/faults, and move where that
// pays. The same configuration and seed give the same run, to the last bit of trace_hash.
//
// A job is a number of kernels in bursts, with pauses; it has one kernel in flight at most, which runs to its
// end. Jobs that fit nowhere wait in one queue, first come first served.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "scheduling/balance/balancer.h"
#include "scheduling/cluster/cluster_job.h"
#include "scheduling/device_scheduler.h"
#include "scheduling/faults/fault_history.h"
#include "scheduling/qos/wait_histogram.h"
#include "scheduling/random.h"

namespace tessera::scheduling {

struct ClusterConfig {
  uint32_t gpus = 100;
  uint64_t jobs = 10'000;
  uint64_t seed = 1;
  BalancePolicy policy = BalancePolicy::kSpread;
  SchedulerConfig scheduler;
  double load = 0.7;                            // of the cluster, while jobs arrive
  Nanoseconds between_faults_ns = 3 * kSecond;  // of the cluster's GPUs together, mean
  MoveTerms moves;                              // the horizon is what the job has left
};

struct ClusterResult {
  uint64_t events = 0, kernels = 0, decisions = 0;
  uint64_t finished = 0, dropped = 0;  // jobs; dropped: quarantined for their faults
  uint64_t moves = 0, restarts = 0, gpu_faults = 0;
  Nanoseconds elapsed_ns = 0, arriving_ns = 0;  // in all, and until the last arrival
  double utilisation = 0;                       // while jobs arrived
  double jain = 1;                              // of the jobs' speeds against the same job alone on a GPU
  WaitHistogram turn_waits;   // of kernels that had to wait for their job's turn, and of those that had not
  WaitHistogram queue_waits;  // from arrival to the first placement
  uint64_t trace_hash = 0;
  std::optional<std::string> broken;  // an invariant, with the time
};

class ClusterSimulator {
 public:
  explicit ClusterSimulator(const ClusterConfig& config, MakeScheduler make = DeviceScheduler::create);
  // `progress` is told the jobs that are done, every now and then.
  Result<ClusterResult> run(const std::function<void(uint64_t done)>& progress = {});

 private:
  static constexpr uint32_t kNoJob = UINT32_MAX;
  struct Gpu {
    std::unique_ptr<DeviceScheduler> scheduler;
    std::vector<uint32_t> jobs;  // by TenantId
    FaultHistory history{kDeviceTerms};
    bool busy = false;          // with a kernel, perhaps of a job that is gone
    Nanoseconds kernel_ns = 0;  // its length
    Nanoseconds decide_at_ns = kNever;
  };
  enum class What : uint8_t {
    kArrival,
    kBurst,
    kKernelEnd,
    kDecide,
    kJoin,
    kRetry,
    kRebalance,
    kFault,
    kReopen
  };
  struct Event {
    Nanoseconds at_ns;
    uint64_t number;
    What what;
    uint32_t index;  // of a job or, for kDecide and kReopen, of a GPU
    uint32_t gpu;    // of kKernelEnd
    uint32_t generation;
    bool operator>(const Event& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : number > other.number;
    }
  };

  Status handle(const Event& event);
  Status handle_of_job(const Event& event);
  void push(Nanoseconds at_ns, What what, uint32_t index, GpuIndex gpu = 0, uint32_t generation = 0);
  void push_of_job(Nanoseconds at_ns, What what, uint32_t index);

  // cluster_jobs.cc: a job's life
  Status arrive();
  Status admit(uint32_t index);
  Status join(uint32_t index);
  void begin_burst(uint32_t index);
  Status end_kernel(uint32_t index);
  void leave_gpu(uint32_t index);
  Status leave_cluster(uint32_t index, GpuIndex from);
  Status start_waiting(GpuIndex gpu);
  Status fail(uint32_t index, FaultKind kind);

  // cluster_faults.cc: what befalls GPUs, and moves
  Status strike();
  Status evacuate(GpuIndex gpu, bool progress_is_lost);
  Status reopen(GpuIndex gpu);
  Status rebalance();
  void move(uint32_t index, GpuIndex to);

  void settle(GpuIndex index);
  void check(GpuIndex index);
  void check_wait(const Gpu& gpu, ClusterJob& job, GpuIndex index);
  void check_end();
  void note(uint64_t value) { result_.trace_hash = (result_.trace_hash ^ value) * 0x100000001b3u; }
  void break_off(const std::string& what);

  ClusterConfig config_;
  MakeScheduler make_;
  Random random_;
  std::vector<GpuShape> shapes_;
  Balancer balancer_;
  std::vector<Gpu> gpus_;
  std::vector<ClusterJob> jobs_;      // by slot; free ones are used again
  std::vector<uint32_t> free_slots_;  // of jobs_
  std::deque<uint32_t> waiting_;      // fit nowhere yet
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  uint64_t next_number_ = 0, arrived_ = 0;
  Nanoseconds now_ = 0, between_arrivals_ns_ = 0;
  Nanoseconds busy_ns_ = 0;  // while jobs arrived
  double speeds_ = 0, squares_ = 0;
  ClusterResult result_;
};

}  // namespace tessera::scheduling
