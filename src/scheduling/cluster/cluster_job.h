// A job of the simulated cluster, as drawn and as it stands.
#pragma once

#include "scheduling/balance/balancer.h"
#include "scheduling/faults/fault_history.h"
#include "scheduling/random.h"
#include "scheduling/tenant.h"

namespace tessera::scheduling {

struct ClusterJob {
  enum class State : uint8_t { kGone, kWaiting, kBackingOff, kMoving, kOnGpu };

  TenantSpec spec;
  JobNeeds needs;
  uint32_t kernels = 0;  // in all
  uint32_t kernels_per_burst = 0;
  Nanoseconds kernel_ns = 0;
  Nanoseconds pause_ns = 0;   // between bursts
  uint32_t fails_one_in = 0;  // kernels; 0: never

  State state = State::kGone;
  uint32_t generation = 0;  // of events; older ones are of another life
  GpuIndex gpu = 0;
  TenantId tenant = 0;
  uint32_t left = 0;           // kernels
  uint32_t left_in_burst = 0;  // 0: it pauses
  bool running = false;
  bool was_placed = false;
  Nanoseconds arrived_ns = 0, ready_ns = 0;
  Nanoseconds may_wait_ns = 0;  // the longest bound there was since ready_ns
  FaultHistory history{kTenantTerms};

  // Alone on a GPU, without a failure.
  Nanoseconds alone_ns() const;
  Nanoseconds left_ns() const { return left * kernel_ns; }
};

// A mix of short requests and long training steps; half pause between bursts, a third have a share, one in
// 300 is faulty.
ClusterJob draw_job(Random& random);
// Of the kernels of all jobs drawn, in all.
Nanoseconds mean_work_ns();

}  // namespace tessera::scheduling
