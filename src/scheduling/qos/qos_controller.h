// Raises and lowers tenants' weights so that promises are kept: a promised share, and a target for the 99th
// percentile of the waits (TenantSpec::target_wait_ns). It looks back once a window, and acts by
// DeviceScheduler::set_boost alone.
//
//   guaranteed   never below its own weight; raised while its promise is broken
//   burstable    raised while its promise is broken and every guaranteed one is kept; lowered for a
//                guaranteed one once the best-effort ones have given all
//   best-effort  never above its own weight; lowered while anybody's promise is broken
//
// So one with a kept guarantee never weighs less against a best-effort one than they said. Raising is fast
// and lowering slow: a broken promise costs more than a weight that is too high for a while. A target that
// cannot be met ends at kMostBoost; shares are the scheduler's to keep whatever weights do.
#pragma once

#include <vector>

#include "scheduling/device_scheduler.h"
#include "scheduling/qos/wait_histogram.h"

namespace tessera::scheduling {

class QosController {
 public:
  static constexpr Nanoseconds kWindowNs = 250 * kMillisecond;
  static constexpr uint32_t kLeastBoost = 250, kLeastBurstable = 500, kMostBoost = 8000;  // 1000 is neutral

  // A tenant of the scheduler, or one whose spec has changed.
  void add(TenantId id, const TenantSpec& spec, Nanoseconds now);
  void remove(TenantId id);

  // It had work and no turn for so long, and has its turn now.
  void waited(TenantId id, Nanoseconds wait_ns, Nanoseconds now);

  // Where a window is over: looks at it, sets boosts. True where one has changed.
  bool adjust(DeviceScheduler& scheduler, Nanoseconds now);
  // kNever while nobody was promised anything and all boosts are neutral.
  Nanoseconds next_adjustment_ns() const;

  uint32_t boost_permille(TenantId id) const { return states_[id].boost; }
  // Of its latest waits, at most 20 s old.
  WaitHistogram waits(TenantId id, Nanoseconds now) const { return states_[id].recent.histogram(now); }

 private:
  // Sums in which a window counts less by a sixteenth with each one after it: those of the last 4 s, roughly.
  struct Fading {
    double value = 0;
    void add(double more) { value += (more - value) / 16; }
  };
  struct State {
    bool in_use = false;
    TenantSpec spec;
    uint32_t boost = kWhole;
    RecentWaits recent;
    uint32_t waits = 0, late = 0;                   // in this window; late: beyond the target
    Nanoseconds granted_ns = 0, waited_ns = 0;      // up to this window, ever
    Fading all_waits, late_waits, granted, wanted;  // a window's
  };
  // kBarely: it was broken lately, but not in this window, or nearly is.
  enum class Verdict { kKept, kBarely, kBreaking };
  struct Broken {
    bool guaranteed = false, any = false;
    bool best_effort_gives_more = false;
  };

  void look_back(State& state, TenantId id, const DeviceScheduler& scheduler, Nanoseconds now);
  Verdict judge(const State& state, const SchedulerConfig& config) const;
  static uint32_t next_boost(const State& state, Verdict verdict, const Broken& broken);
  static bool watches(const State& state);
  void look_whom_to_watch();

  std::vector<State> states_;
  bool watches_any_ = false;  // asked at each turn's end: states are large
  Nanoseconds window_ends_ = 0;
};

}  // namespace tessera::scheduling
