// One GPU of the node as the planner sees it: what it has, and what slices have of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/index_set.h"

namespace tessera::partitioning {

// How the driver keeps a process to some of a GPU's SMs.
enum class SmControl : uint8_t {
  kNone,
  kPortions,  // to a number of them, which it is given when it starts and keeps (MPS)
  kSets,      // to these or those, and to others while its kernels run
};

// A slice's part of a GPU.
struct Part {
  uint64_t reserved_bytes = 0;  // of memory, set aside for it
  uint32_t share_permille = 0;  // of the GPU's time and SMs, promised; 0: none
  IndexSet sms;                 // its own; empty: it takes turns on those that are nobody's
  uint64_t min_bytes = 0;  // of what is set aside, what stays on the GPU where that promises more than it has
  uint64_t limit_bytes = 0;  // that it may have, where that is more than what is set aside
};

struct GpuState {
  uint64_t memory_bytes = 0;    // that may be promised
  uint64_t physical_bytes = 0;  // that it has; 0: as much
  uint32_t sm_count = 0;        // 0: not known
  SmControl control = SmControl::kNone;
  // Processes of slices in time live here: where portions are kept, they have all that are shared.
  bool shared_in_use = false;
  std::string unusable;  // why nothing new may be placed on it, as in "quarantined: ..."; empty: it may
  std::vector<Part> parts;

  uint64_t unreserved_bytes() const;
  // The SMs that are no slice's own: whoever is in time takes turns on them.
  IndexSet shared_sms() const;
  // What of the GPU those are, in thousandths, and what of that is promised.
  uint32_t shared_permille() const;
  // Rounded up: two SMs of three hold 66.7 %.
  uint32_t permille_of_sms(uint32_t count) const;
  uint32_t promised_in_time_permille() const;
  // Of the GPU, what no slice was promised: what its own SMs hold beyond a slice's share is not for others.
  uint32_t unpromised_permille() const;
  bool has_parts_in_time() const;
};

}  // namespace tessera::partitioning
