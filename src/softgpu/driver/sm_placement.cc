#include "softgpu/driver/sm_placement.h"

#include <sched.h>

#include <utility>

namespace tessera::softgpu {

SmPlacement::SmPlacement(std::vector<int> processors) : processors_(std::move(processors)) {
  if (!processors_.empty()) return;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    return;  // more processors than the set has room for
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) processors_.push_back(cpu);
  }
}

void SmPlacement::move_to(uint32_t slot, int& current) const {
  if (processors_.empty()) return;
  const int processor = processors_[slot % processors_.size()];
  if (processor == current) return;
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(processor, &only);
  // Refused where the process may not use it (any more): then the thread stays where it may be.
  (void)sched_setaffinity(0, sizeof only, &only);
  current = processor;
}

}  // namespace tessera::softgpu
