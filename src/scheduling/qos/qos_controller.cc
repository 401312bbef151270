#include "scheduling/qos/qos_controller.h"

#include <algorithm>

namespace tessera::scheduling {
namespace {

// Of 1000: what a boost goes up by where a promise is broken, comes down by for others, and goes back by.
constexpr uint32_t kRaise = 1500, kYield = 700, kRelax = 10;
// Of the waits: the 99th percentile allows 0.01, but what is late is seen only when it was.
constexpr double kLateAimed = 0.006;
constexpr double kShareTolerance = 0.05;  // of the share

uint32_t towards_neutral(uint32_t boost) {
  const uint32_t step = std::max(boost * kRelax / kWhole, 1u);
  return boost > kWhole ? std::max(boost - step, kWhole) : std::min(boost + step, kWhole);
}

uint32_t lowered(uint32_t boost, uint32_t least) { return std::max(boost * kYield / kWhole, least); }

}  // namespace

void QosController::add(TenantId id, const TenantSpec& spec, Nanoseconds now) {
  if (id >= states_.size()) states_.resize(id + 1);
  states_[id] = State{};
  states_[id].in_use = true;
  states_[id].spec = spec;
  window_ends_ = std::max(window_ends_, now + kWindowNs);
  look_whom_to_watch();
}

void QosController::remove(TenantId id) {
  states_[id] = State{};
  look_whom_to_watch();
}

void QosController::waited(TenantId id, Nanoseconds wait_ns, Nanoseconds now) {
  State& state = states_[id];
  state.recent.add(wait_ns, now);
  ++state.waits;
  if (state.spec.target_wait_ns != 0 && wait_ns > state.spec.target_wait_ns) ++state.late;
}

bool QosController::watches(const State& state) {
  const bool promised = state.spec.share_permille != 0 || state.spec.target_wait_ns != 0;
  return state.in_use && (promised || state.boost != kWhole);
}

void QosController::look_whom_to_watch() {
  watches_any_ = std::any_of(states_.begin(), states_.end(), watches);
}

Nanoseconds QosController::next_adjustment_ns() const { return watches_any_ ? window_ends_ : kNever; }

// A wait that goes on counts as soon as it is too long.
void QosController::look_back(State& state, TenantId id, const DeviceScheduler& scheduler, Nanoseconds now) {
  const DeviceScheduler::Times times = scheduler.times(id, now);
  const bool late_now = state.spec.target_wait_ns != 0 && times.waits_for_ns > state.spec.target_wait_ns;
  if (late_now) ++state.late, ++state.waits;
  state.all_waits.add(state.waits);
  state.late_waits.add(state.late);
  const auto granted = static_cast<double>(times.granted_ns - state.granted_ns);
  state.granted.add(granted);
  state.wanted.add(granted + static_cast<double>(times.waited_ns - state.waited_ns));
  state.granted_ns = times.granted_ns;
  state.waited_ns = times.waited_ns;
}

// A share is a promise to one that has work; two turns more or less are no breach.
QosController::Verdict QosController::judge(const State& state, const SchedulerConfig& config) const {
  const double share = state.spec.share_permille * 1e-3;
  const auto turns = static_cast<double>(2 * config.limits.longest_ns) / 16;
  const double had = state.granted.value * state.spec.width_permille * 1e-3;
  if (had < share * state.wanted.value * (1 - kShareTolerance) - turns) return Verdict::kBreaking;
  const double aimed = state.all_waits.value * kLateAimed;
  if (state.late_waits.value <= aimed / 2) return Verdict::kKept;
  return state.late_waits.value > aimed && state.late != 0 ? Verdict::kBreaking : Verdict::kBarely;
}

uint32_t QosController::next_boost(const State& state, Verdict verdict, const Broken& broken) {
  const QosClass qos = qos_class(state.spec);
  if (qos == QosClass::kBestEffort) {
    return broken.any ? lowered(state.boost, kLeastBoost) : towards_neutral(state.boost);
  }
  if (qos == QosClass::kBurstable && broken.guaranteed) {
    return broken.best_effort_gives_more ? state.boost : lowered(state.boost, kLeastBurstable);
  }
  if (verdict == Verdict::kBreaking) return std::min(state.boost * kRaise / kWhole, kMostBoost);
  return verdict == Verdict::kBarely ? state.boost : towards_neutral(state.boost);
}

bool QosController::adjust(DeviceScheduler& scheduler, Nanoseconds now) {
  if (now < window_ends_) return false;
  window_ends_ = now + kWindowNs;
  std::vector<Verdict> verdicts(states_.size(), Verdict::kKept);
  Broken broken;
  for (TenantId id = 0; id < states_.size(); ++id) {
    State& state = states_[id];
    if (!state.in_use) continue;
    look_back(state, id, scheduler, now);
    verdicts[id] = judge(state, scheduler.config());
    const QosClass qos = qos_class(state.spec);
    broken.any |= verdicts[id] == Verdict::kBreaking;
    broken.guaranteed |= verdicts[id] == Verdict::kBreaking && qos == QosClass::kGuaranteed;
    broken.best_effort_gives_more |= qos == QosClass::kBestEffort && state.boost > kLeastBoost;
  }
  bool changed = false;
  for (TenantId id = 0; id < states_.size(); ++id) {
    State& state = states_[id];
    if (!state.in_use) continue;
    const uint32_t boost = next_boost(state, verdicts[id], broken);
    state.waits = state.late = 0;
    if (boost == state.boost) continue;
    changed = true;
    scheduler.set_boost(id, state.boost = boost);
  }
  if (changed) look_whom_to_watch();
  return changed;
}

}  // namespace tessera::scheduling
