// What must hold after every decision, whatever happened. The checker knows the scheduler's promises, not its
// workings: it sees grants, tenants' states and charges.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "scheduling/device_scheduler.h"

namespace tessera::scheduling {

// How a simulated tenant stands, beside what the scheduler believes of it.
struct Observed {
  bool present = false;
  bool has_work = false;  // queued or running
  Nanoseconds longest_kernel_ns = 0;
};

class Invariants {
 public:
  // `whole_gpu`: tenants fill the whole GPU each, so that service within a class follows the order policy
  // strictly.
  Invariants(const SchedulerConfig& config, bool whole_gpu) : config_(config), whole_gpu_(whole_gpu) {}

  // Promises are about the time that went by; `told` is what the scheduler took the moment for.
  struct Moment {
    Nanoseconds now, told;
  };

  // A tenant is new, has changed its spec, or the scheduler has: what was measured so far says nothing any
  // more.
  void forget(TenantId id);
  void forget_all();
  void clock_jumped();
  void weights_changed();

  // GPU time, whatever its width.
  void charged(TenantId id, Nanoseconds used_ns);
  // The text of what is broken. `busy_ns`: the time with a kernel on the GPU, ever.
  std::optional<std::string> check(const DeviceScheduler& scheduler, const std::vector<Observed>& observed,
                                   const Moment& moment, Nanoseconds busy_ns);

 private:
  struct Watch {
    bool fresh = true;
    Nanoseconds since_ns = 0;  // the ceiling's stretch
    uint64_t jumps = 0;        // of the clock, before it
    Nanoseconds used_ns = 0;   // in it
    bool backlogged = false;   // has had work since busy_since_ns, and was never throttled
    Nanoseconds busy_since_ns = 0;
    uint64_t busy_jumps = 0;
    Nanoseconds busy_used_ns = 0;
    bool waiting = false;  // has work, might run, has no grant
    Nanoseconds waiting_since_ns = 0;
    uint64_t waiting_jumps = 0;
    Nanoseconds wait_bound_ns = 0;  // the greatest since then
  };
  struct Pair {  // service of both since both have had work and neither was taken out of turn
    bool open = false;
    Nanoseconds first_ns = 0;
    Nanoseconds second_ns = 0;
  };

  using Broken = std::optional<std::string>;
  Broken check_grants(const DeviceScheduler& scheduler, const std::vector<Observed>& observed,
                      Nanoseconds told) const;
  Broken check_work(const DeviceScheduler& scheduler, const std::vector<Observed>& observed) const;
  Broken check_wait(const DeviceScheduler& scheduler, const std::vector<Observed>& observed, TenantId id,
                    Nanoseconds now);
  Broken check_ceiling(const DeviceScheduler& scheduler, const std::vector<Observed>& observed, TenantId id,
                       Nanoseconds now);
  Broken check_share(const DeviceScheduler& scheduler, const std::vector<Observed>& observed, TenantId id,
                     Nanoseconds now);
  Broken check_gaps(const DeviceScheduler& scheduler, const std::vector<Observed>& observed);
  Broken check_gap(const DeviceScheduler& scheduler, const std::vector<Observed>& observed, TenantId a,
                   TenantId b);
  Broken check_turns(const DeviceScheduler& scheduler, const std::vector<Observed>& observed,
                     Nanoseconds busy_ns);
  // What time a tenant may have lost by jumps: each makes that of one turn at most unknown.
  Nanoseconds lost_by_jumps(uint64_t before) const { return (jumps_ - before) * config_.limits.longest_ns; }
  bool comparable(const DeviceScheduler& scheduler, const std::vector<Observed>& observed, TenantId id) const;
  Nanoseconds longest_kernel(const std::vector<Observed>& observed) const;
  Pair& pair(TenantId a, TenantId b) { return pairs_[a * watches_.size() + b]; }
  void resize(size_t count);

  SchedulerConfig config_;
  bool whole_gpu_;
  uint64_t jumps_ = 0;
  std::vector<Watch> watches_;
  std::vector<Pair> pairs_;  // a < b
  // Since all that have work are the same ones, of one class, without promised shares or spent ceilings:
  std::vector<TenantId> company_;
  std::vector<Nanoseconds> company_had_ns_;  // by TenantId
  Nanoseconds company_since_busy_ns_ = 0;
};

}  // namespace tessera::scheduling
