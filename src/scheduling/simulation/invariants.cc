#include "scheduling/simulation/invariants.h"

#include <algorithm>
#include <cmath>

#include "common/strings.h"

namespace tessera::scheduling {
namespace {

// How far from its promise a share may be over a long stretch, for what each hand-over rounds away.
constexpr double kShareTolerance = 0.05;

std::string name_of(TenantId id) { return str_format("tenant %u", id); }

// By the grants themselves: what the scheduler notes of its tenants may be what is wrong.
bool has_grant(const DeviceScheduler& scheduler, TenantId id) {
  return std::any_of(scheduler.grants().begin(), scheduler.grants().end(),
                     [id](const Grant& grant) { return grant.tenant == id; });
}

}  // namespace

void Invariants::resize(size_t count) {
  if (count <= watches_.size()) return;
  watches_.resize(count);
  pairs_.assign(count * count, Pair{});
}

void Invariants::forget(TenantId id) {
  company_.clear();
  resize(id + 1);
  watches_[id] = Watch{};
  std::fill(pairs_.begin(), pairs_.end(), Pair{});  // everyone's weight changes with it
  for (Watch& watch : watches_) watch.backlogged = false;
}

void Invariants::forget_all() {
  company_.clear();
  for (Watch& watch : watches_) watch = Watch{};
  std::fill(pairs_.begin(), pairs_.end(), Pair{});
}

// Boosts say nothing about what was promised; only who had how much of the rest is counted anew.
void Invariants::weights_changed() {
  company_.clear();
  std::fill(pairs_.begin(), pairs_.end(), Pair{});
}

// What a jump may cost is little, however far it went; see SteadyTime.
void Invariants::clock_jumped() { ++jumps_; }

void Invariants::charged(TenantId id, Nanoseconds used_ns) {
  resize(id + 1);
  watches_[id].used_ns += used_ns;
  watches_[id].busy_used_ns += used_ns;
  if (id < company_had_ns_.size()) company_had_ns_[id] += used_ns;
  for (TenantId other = 0; other < watches_.size(); ++other) {
    if (other > id) pair(id, other).first_ns += used_ns;
    if (other < id) pair(other, id).second_ns += used_ns;
  }
}

Nanoseconds Invariants::longest_kernel(const std::vector<Observed>& observed) const {
  Nanoseconds longest = 0;
  for (const Observed& tenant : observed)
    longest = std::max(longest, tenant.present ? tenant.longest_kernel_ns : 0);
  return longest;
}

std::optional<std::string> Invariants::check(const DeviceScheduler& scheduler,
                                             const std::vector<Observed>& observed, const Moment& moment,
                                             Nanoseconds busy_ns) {
  const Nanoseconds now = moment.now;
  resize(observed.size());
  if (Broken broken = check_grants(scheduler, observed, moment.told)) return broken;
  if (Broken broken = check_work(scheduler, observed)) return broken;
  for (TenantId id = 0; id < observed.size(); ++id) {
    if (!observed[id].present) continue;
    if (Broken broken = check_wait(scheduler, observed, id, now)) return broken;
    if (Broken broken = check_ceiling(scheduler, observed, id, now)) return broken;
    if (Broken broken = check_share(scheduler, observed, id, now)) return broken;
  }
  if (config_.order != "weighted-fair") return std::nullopt;
  if (Broken broken = check_turns(scheduler, observed, busy_ns)) return broken;
  return whole_gpu_ ? check_gaps(scheduler, observed) : std::nullopt;
}

// Grants are to tenants with work, once each, together no wider than the GPU, and none is past its end.
Invariants::Broken Invariants::check_grants(const DeviceScheduler& scheduler,
                                            const std::vector<Observed>& observed, Nanoseconds told) const {
  uint32_t width = 0;
  for (const Grant& grant : scheduler.grants()) {
    width += grant.width_permille;
    const auto same = std::count_if(scheduler.grants().begin(), scheduler.grants().end(),
                                    [&](const Grant& other) { return other.tenant == grant.tenant; });
    if (same != 1) return name_of(grant.tenant) + " has two grants";
    if (!observed[grant.tenant].has_work) return name_of(grant.tenant) + " has a grant and no work";
    if (grant.until_ns <= told) return name_of(grant.tenant) + "'s grant is past its end";
  }
  if (width > kWhole) return str_format("grants of %u/1000 of the GPU", width);
  return std::nullopt;
}

// Nothing idles while someone may run, and no wake-up is lost.
Invariants::Broken Invariants::check_work(const DeviceScheduler& scheduler,
                                          const std::vector<Observed>& observed) const {
  uint32_t free_width = kWhole;
  for (const Grant& grant : scheduler.grants()) free_width -= grant.width_permille;
  bool waiting = false, too_wide = false, fitting = false;
  for (TenantId id = 0; id < observed.size(); ++id) {
    if (!observed[id].present || !observed[id].has_work) continue;
    if (!scheduler.tenant(id).runnable) return name_of(id) + " has work and is believed to have none";
    const bool granted = has_grant(scheduler, id);
    if (granted) continue;
    waiting = true;
    if (scheduler.throttled(id)) continue;
    (scheduler.tenant(id).spec.width_permille > free_width ? too_wide : fitting) = true;
  }
  if (fitting && !too_wide) return std::string("a tenant waits beside a GPU that has room for it");
  if (fitting && scheduler.grants().empty()) return std::string("tenants wait for an idle GPU");
  if (waiting && scheduler.next_decision_ns() == kNever)
    return std::string("a tenant waits for nothing to happen");
  return std::nullopt;
}

// By the checker's own watch: what the scheduler notes of waits may be what is wrong. The scheduler goes by
// the bound of the moment, which moves with weights and with who else has work. So a wait is held to the
// greatest bound that there was in it: beyond that it has counted as starving at every moment, whatever the
// bound was.
Invariants::Broken Invariants::check_wait(const DeviceScheduler& scheduler,
                                          const std::vector<Observed>& observed, TenantId id,
                                          Nanoseconds now) {
  Watch& watch = watches_[id];
  const bool granted = has_grant(scheduler, id);
  if (granted || !observed[id].has_work || scheduler.throttled(id)) {
    watch.waiting = false;
    return std::nullopt;
  }
  if (!watch.waiting) {
    watch.waiting = true;
    watch.waiting_since_ns = now;
    watch.waiting_jumps = jumps_;
    watch.wait_bound_ns = 0;
  }
  const uint64_t others = observed.size();
  const Nanoseconds bound =
      scheduler.starvation_bound(id) + (others + 1) * (config_.limits.longest_ns + longest_kernel(observed));
  watch.wait_bound_ns = std::max(watch.wait_bound_ns, bound);
  if (now <= watch.waiting_since_ns + watch.wait_bound_ns + lost_by_jumps(watch.waiting_jumps))
    return std::nullopt;
  return str_format("%s has waited for %.1f ms, at most %.1f were promised", name_of(id).c_str(),
                    static_cast<double>(now - watch.waiting_since_ns) * 1e-6,
                    static_cast<double>(watch.wait_bound_ns) * 1e-6);
}

Invariants::Broken Invariants::check_ceiling(const DeviceScheduler& scheduler,
                                             const std::vector<Observed>& observed, TenantId id,
                                             Nanoseconds now) {
  Watch& watch = watches_[id];
  if (watch.fresh) {
    watch.fresh = false;
    watch.since_ns = now;
    watch.jumps = jumps_;
    watch.used_ns = 0;
  }
  const TenantSpec& spec = scheduler.tenant(id).spec;
  if (spec.cap_permille == kWhole) return std::nullopt;
  const Nanoseconds allowed =
      scaled(now - watch.since_ns, spec.cap_permille, kWhole) +
      (1 + jumps_ - watch.jumps) * scaled(config_.burst_ns, spec.cap_permille, kWhole) +
      config_.limits.shortest_ns + 2 * observed[id].longest_kernel_ns;
  if (watch.used_ns <= allowed) return std::nullopt;
  return str_format("%s used %.1f ms, its ceiling allows %.1f", name_of(id).c_str(),
                    static_cast<double>(watch.used_ns) * 1e-6, static_cast<double>(allowed) * 1e-6);
}

// A promised share, for a tenant that has had work all the time.
Invariants::Broken Invariants::check_share(const DeviceScheduler& scheduler,
                                           const std::vector<Observed>& observed, TenantId id,
                                           Nanoseconds now) {
  Watch& watch = watches_[id];
  const TenantSpec& spec = scheduler.tenant(id).spec;
  if (!observed[id].has_work || scheduler.throttled(id)) {
    watch.backlogged = false;
    return std::nullopt;
  }
  if (!watch.backlogged) {
    watch.backlogged = true;
    watch.busy_since_ns = now;
    watch.busy_jumps = jumps_;
    watch.busy_used_ns = 0;
  }
  if (spec.share_permille == 0 || !whole_gpu_) return std::nullopt;
  const Nanoseconds lasted = now - watch.busy_since_ns;
  const auto tenants = static_cast<uint64_t>(observed.size());
  const double slack = static_cast<double>(
      (2 + jumps_ - watch.busy_jumps) * config_.burst_ns + lost_by_jumps(watch.busy_jumps) +
      (tenants + 2) * (config_.limits.longest_ns + longest_kernel(observed)));
  // What kernels that outlast their slices take from the others' is the device's, not the scheduler's: see
  // Simulator.
  const double promised =
      static_cast<double>(scaled(lasted, spec.share_permille, kWhole)) * (1 - kShareTolerance);
  if (longest_kernel(observed) > config_.limits.shortest_ns) return std::nullopt;
  if (static_cast<double>(watch.busy_used_ns) >= promised - slack) return std::nullopt;
  return str_format("%s had %.1f ms of %.1f, its share is %u/1000", name_of(id).c_str(),
                    static_cast<double>(watch.busy_used_ns) * 1e-6, static_cast<double>(lasted) * 1e-6,
                    spec.share_permille);
}

// Whether its service follows from the order policy alone just now.
bool Invariants::comparable(const DeviceScheduler& scheduler, const std::vector<Observed>& observed,
                            TenantId id) const {
  if (!observed[id].present || !observed[id].has_work || scheduler.throttled(id)) return false;
  const Tenant& tenant = scheduler.tenant(id);
  if (tenant.spec.share_permille != 0 && tenant.spec.priority < PriorityClass::kNormal)
    return false;  // changes class
  return std::none_of(scheduler.grants().begin(), scheduler.grants().end(),
                      [id](const Grant& grant) { return grant.tenant == id && grant.tier <= Tier::kOwed; });
}

Invariants::Broken Invariants::check_gaps(const DeviceScheduler& scheduler,
                                          const std::vector<Observed>& observed) {
  for (TenantId a = 0; a < observed.size(); ++a) {
    for (TenantId b = a + 1; b < observed.size(); ++b) {
      if (Broken broken = check_gap(scheduler, observed, a, b)) return broken;
    }
  }
  return std::nullopt;
}

// Whoever runs side by side takes nothing from anybody: each has at least the time by its weight that turns
// would give it.
Invariants::Broken Invariants::check_turns(const DeviceScheduler& scheduler,
                                           const std::vector<Observed>& observed, Nanoseconds busy_ns) {
  std::vector<TenantId> company;
  double weights = 0;
  bool same = true;
  for (TenantId id = 0; id < observed.size(); ++id) {
    if (!observed[id].present || !observed[id].has_work) continue;
    company.push_back(id);
    const Tenant& tenant = scheduler.tenant(id);
    weights += static_cast<double>(tenant.effective_weight);
    same = same && !scheduler.throttled(id) && tenant.spec.share_permille == 0 &&
           tenant.spec.priority == scheduler.tenant(company.front()).spec.priority;
  }
  if (!same || company != company_) {
    company_ = same ? std::move(company) : std::vector<TenantId>();
    company_had_ns_.assign(observed.size(), 0);
    company_since_busy_ns_ = busy_ns;
    return std::nullopt;
  }
  const Nanoseconds turn = config_.limits.longest_ns + longest_kernel(observed);
  for (TenantId id : company_) {
    const double part = static_cast<double>(scheduler.tenant(id).effective_weight) / weights;
    const double turns = part * static_cast<double>(busy_ns - company_since_busy_ns_);
    const auto slack = static_cast<double>(2 * (company_.size() + 1) * turn);
    if (static_cast<double>(company_had_ns_[id]) >= turns - slack) continue;
    return str_format("%s had %.1f ms beside others, %.1f in turns", name_of(id).c_str(),
                      static_cast<double>(company_had_ns_[id]) * 1e-6, turns * 1e-6);
  }
  return std::nullopt;
}

Invariants::Broken Invariants::check_gap(const DeviceScheduler& scheduler,
                                         const std::vector<Observed>& observed, TenantId a, TenantId b) {
  Pair& both = pair(a, b);
  if (!comparable(scheduler, observed, a) || !comparable(scheduler, observed, b) ||
      scheduler.tenant(a).spec.priority != scheduler.tenant(b).spec.priority) {
    both.open = false;
    return std::nullopt;
  }
  if (!both.open) {
    both = {true, 0, 0};
    return std::nullopt;
  }
  const auto weight = [&](TenantId id) { return static_cast<double>(scheduler.tenant(id).effective_weight); };
  const auto step = [&](TenantId id) {
    return 2 * static_cast<double>(config_.limits.longest_ns + observed[id].longest_kernel_ns) / weight(id);
  };
  const double gap = std::fabs(static_cast<double>(both.first_ns) / weight(a) -
                               static_cast<double>(both.second_ns) / weight(b));
  if (gap <= step(a) + step(b)) return std::nullopt;
  return str_format("%s and %s had %.1f and %.1f ms at weights %.0f and %.0f", name_of(a).c_str(),
                    name_of(b).c_str(), static_cast<double>(both.first_ns) * 1e-6,
                    static_cast<double>(both.second_ns) * 1e-6, weight(a), weight(b));
}

}  // namespace tessera::scheduling
