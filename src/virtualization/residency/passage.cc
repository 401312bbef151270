#include "virtualization/residency/passage.h"

#include "common/clock.h"
#include "common/futex.h"

namespace tessera::vgpu {

void Passage::wake() { wake_all(state_); }

bool Passage::close(uint64_t patience_ns) {
  const uint64_t deadline_ns = monotonic_ns() + patience_ns;
  uint32_t state = state_.fetch_or(kClosed, std::memory_order_acq_rel) | kClosed;
  while (state != kClosed) {
    const uint64_t now_ns = monotonic_ns();
    if (now_ns >= deadline_ns) {
      open();
      return false;
    }
    wait_for_change(state_, state, deadline_ns - now_ns);
    state = state_.load(std::memory_order_acquire);
  }
  return true;
}

}  // namespace tessera::vgpu
