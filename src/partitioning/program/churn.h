// Slices that come, change and go on a set of GPUs, as the planner places them; seeded, without clock or
// device.
#pragma once

#include <cstdint>

#include "partitioning/planner.h"

namespace tessera::partitioning {

struct ChurnOptions {
  uint32_t gpus = 8;
  uint32_t sms = 132;
  uint64_t memory_bytes = uint64_t{80} << 30;
  bool space = true;  // whether the devices can
  uint64_t arrivals = 20'000;
  double load = 0.9;  // of the GPUs' compute, offered: arrivals times shares times lifetimes
  uint64_t seed = 1;
};

// How slices ask for their shares, and where they are put.
struct ChurnPolicy {
  const char* name;
  SmMode mode;
  Packing packing;
};

struct ChurnResult {
  uint64_t arrivals = 0;
  uint64_t refused = 0;
  uint64_t in_space = 0;  // of those that were placed
  uint64_t resizes = 0;
  uint64_t resizes_refused = 0;
  double promised_compute = 0;  // mean part of all SMs' time that was promised, 0 to 1
  double promised_memory = 0;
  double held_beyond_promise = 0;  // mean part of the SMs that slices in space hold beyond their shares
  double whole_gpus = 0;           // mean number of GPUs without a slice
  uint64_t hash = 0;               // of all decisions: the same for the same options
  Status broken;                   // the first promise of the planner that did not hold
};

ChurnResult run_churn(const ChurnOptions& options, const ChurnPolicy& policy);

}  // namespace tessera::partitioning
