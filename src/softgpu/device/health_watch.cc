#include "softgpu/device/health_watch.h"

#include "common/clock.h"
#include "common/futex.h"
#include "softgpu/device/device_file_layout.h"

namespace tessera::softgpu {

HealthWatch::HealthWatch(DeviceFile& file) : file_(file), seen_(file.layout().health_word.load()) {}

bool HealthWatch::looks() const { return mine_ns_ != 0 && file_.layout().looked_ns.load() == mine_ns_; }

// Another one's is left to it until it is late.
bool HealthWatch::take_look(uint64_t now_ns) {
  uint64_t looked_ns = file_.layout().looked_ns.load();
  const uint64_t due_ns = looked_ns == mine_ns_ ? kLookNs : 2 * kLookNs;
  if (now_ns - looked_ns < due_ns) return false;
  if (!file_.layout().looked_ns.compare_exchange_strong(looked_ns, now_ns)) return false;
  mine_ns_ = now_ns;
  return true;
}

void HealthWatch::wait(bool often) {
  for (;;) {
    const uint32_t word = file_.layout().health_word.load();
    const bool changed = word != seen_;
    seen_ = word;
    if (changed || take_look(monotonic_ns())) return;
    wait_for_change(file_.layout().health_word, seen_, often || looks() ? kLookNs : kFollowNs);
    if (often) return;
  }
}

}  // namespace tessera::softgpu
