#include "softgpu/driver/op.h"

#include "common/clock.h"

namespace tessera::softgpu {
namespace {

// Longer than the hand-over of a finished operation between two threads that both run, much shorter than a
// time slice.
constexpr uint64_t kSpinNs = 20'000;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

void Op::wait() const {
  const uint64_t until = monotonic_ns() + kSpinNs;
  while (!done()) {
    for (int i = 0; i < 64 && !done(); ++i) pause_cpu();
    if (monotonic_ns() > until) break;
  }
  while (!done()) done_.wait(0, std::memory_order_acquire);
}

}  // namespace tessera::softgpu
