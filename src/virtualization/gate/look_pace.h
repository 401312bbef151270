// How often the gate's thread looks at the work of the process whose turn it is. A look is paid for by the
// kernels where they run on the same processors, as the software GPU's do: some 70 us of theirs were lost
// with each. So it is seldom as long as there is work each time, and often again where there was none. Pure.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tessera::vgpu {

class LookPace {
 public:
  LookPace(uint64_t shortest_ns, uint64_t longest_ns)
      : shortest_ns_(shortest_ns), longest_ns_(longest_ns), next_ns_(shortest_ns) {}

  // How long to wait for the next look after one that has found work; of one turn or of the next.
  uint64_t found_work() {
    const uint64_t wait_ns = next_ns_;
    next_ns_ = std::min(2 * next_ns_, longest_ns_);
    return wait_ns;
  }
  // The same after one that has found none.
  uint64_t found_none() { return next_ns_ = shortest_ns_; }

 private:
  uint64_t shortest_ns_, longest_ns_, next_ns_;
};

}  // namespace tessera::vgpu
