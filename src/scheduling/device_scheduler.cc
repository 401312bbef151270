#include "scheduling/device_scheduler.h"

#include <algorithm>
#include <cassert>

namespace tessera::scheduling {
namespace {

constexpr uint64_t kMillionths = 1'000'000;
// What tenants without a share of their own part at least, so that promised shares of the whole GPU leave
// them moving.
constexpr uint64_t kLeastRest = kMillionths / 100;
constexpr uint32_t kIdleStarvesLonger = 10;
constexpr uint32_t kFairTurnsCountUpTo = 10;

Tier tier_of_class(PriorityClass priority) {
  return static_cast<Tier>(static_cast<uint8_t>(Tier::kRealtime) + static_cast<uint8_t>(priority));
}

}  // namespace

Result<std::unique_ptr<DeviceScheduler>> DeviceScheduler::create(const SchedulerConfig& config) {
  std::unique_ptr<DeviceScheduler> scheduler(new DeviceScheduler(config));
  TESSERA_RETURN_IF_ERROR(scheduler->make_policies());
  return scheduler;
}

Status DeviceScheduler::make_policies() {
  TESSERA_ASSIGN_OR_RETURN(slice_, make_slice_policy(config_.slice, config_.limits));
  for (auto& order : orders_) {
    TESSERA_ASSIGN_OR_RETURN(order, make_order_policy(config_.order));
  }
  return Status();
}

Nanoseconds DeviceScheduler::forward(Nanoseconds now) { return now_ = std::max(now_, now); }

// --- tenants

Result<TenantId> DeviceScheduler::add(const TenantSpec& spec, Nanoseconds now) {
  TESSERA_RETURN_IF_ERROR(check_spec(spec));
  auto place = std::find_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return !slot.in_use; });
  if (place == slots_.end()) {
    if (slots_.size() == kMaxTenants) {
      return Status::error(Code::kResourceExhausted, "%zu tenants share this GPU already", kMaxTenants);
    }
    place = slots_.emplace(slots_.end());
  }
  *place = Slot{};
  place->in_use = true;
  place->tenant.spec = spec;
  reset_buckets(*place, forward(now));
  recompute_weights();
  return static_cast<TenantId>(place - slots_.begin());
}

void DeviceScheduler::remove(TenantId id, Nanoseconds now) {
  assert(id < slots_.size() && slots_[id].in_use);
  if (slots_[id].tenant.runnable) sleep(id, now);
  slots_[id].in_use = false;
  recompute_weights();
}

Status DeviceScheduler::update(TenantId id, const TenantSpec& spec, Nanoseconds now) {
  TESSERA_RETURN_IF_ERROR(check_spec(spec));
  assert(id < slots_.size() && slots_[id].in_use);
  note_grants(forward(now));
  Slot& slot = slots_[id];
  if (slot.granted && slot.tenant.spec.width_permille != spec.width_permille) end_grant(id, forward(now));
  slot.tenant.spec = spec;
  reset_buckets(slot, forward(now));
  recompute_weights();
  return Status();
}

void DeviceScheduler::set_switch_ns(Nanoseconds ns) {
  config_.limits.switch_ns = ns;
  slice_->set_switch_ns(ns);
}

void DeviceScheduler::set_boost(TenantId id, uint32_t permille) {
  slots_[id].tenant.boost_permille = permille;
  recompute_weights();
}

// A credit starts empty: a new tenant is owed nothing yet.
void DeviceScheduler::reset_buckets(Slot& slot, Nanoseconds now) const {
  const TenantSpec& spec = slot.tenant.spec;
  slot.ceiling = ShareBucket(spec.cap_permille, scaled(config_.burst_ns, spec.cap_permille, kWhole), now);
  const Nanoseconds burst = scaled(config_.burst_ns, spec.share_permille, kWhole);
  slot.credit = ShareBucket(spec.share_permille, burst, now);
  if (burst > 1) slot.credit.spend(burst - 1);
  slot.throttled = false;
}

// Shares are promised; more than the whole cannot be, and is scaled down to it.
void DeviceScheduler::recompute_weights() {
  uint64_t promised = 0, weights = 0;
  for (const Slot& slot : slots_) {
    if (!slot.in_use) continue;
    promised += uint64_t{slot.tenant.spec.share_permille} * (kMillionths / kWhole);
    if (slot.tenant.spec.share_permille == 0) weights += slot.tenant.spec.weight;
  }
  const uint64_t rest = std::max(promised < kMillionths ? kMillionths - promised : 0, kLeastRest);
  for (Slot& slot : slots_) {
    if (!slot.in_use) continue;
    const TenantSpec& spec = slot.tenant.spec;
    uint64_t weight = spec.share_permille != 0 ? uint64_t{spec.share_permille} * (kMillionths / kWhole)
                                               : rest * spec.weight / weights;
    if (spec.share_permille != 0 && promised > kMillionths) weight = scaled(weight, kMillionths, promised);
    slot.tenant.entitled_weight = weight;
    slot.tenant.effective_weight = std::max<uint64_t>(scaled(weight, slot.tenant.boost_permille, kWhole), 1);
  }
  runnable_weight_ = 0;
  for (TenantId id : runnable_) runnable_weight_ += slots_[id].tenant.effective_weight;
}

// --- what happens

void DeviceScheduler::wake(TenantId id, Nanoseconds now) {
  assert(id < slots_.size() && slots_[id].in_use);
  Slot& slot = slots_[id];
  now = forward(now);
  if (slot.tenant.runnable) return;
  note_grants(now);
  slot.tenant.runnable = true;
  slot.tenant.waiting_since = now;
  runnable_.push_back(id);
  runnable_weight_ += slot.tenant.effective_weight;
  slot.queued_in = class_of(slot);
  order(slot).joined(id, slot.tenant, now);
}

void DeviceScheduler::sleep(TenantId id, Nanoseconds now) {
  assert(id < slots_.size() && slots_[id].in_use);
  Slot& slot = slots_[id];
  if (!slot.tenant.runnable) return;
  note_grants(forward(now));
  if (slot.granted) end_grant(id, forward(now));
  if (!slot.throttled) {
    end_wait(slot, forward(now));
    order(slot).left(id);
  }
  slot.tenant.runnable = false;
  slot.throttled = false;
  runnable_.erase(std::find(runnable_.begin(), runnable_.end(), id));
  runnable_weight_ -= slot.tenant.effective_weight;
}

// --- decisions

// Where many share the GPU, or the weight is small, its fair turn comes late: that is not starvation.
Nanoseconds DeviceScheduler::starvation_bound(TenantId id) const {
  const Tenant& tenant = slots_[id].tenant;
  const Nanoseconds bound = tenant.spec.priority == PriorityClass::kIdle
                                ? config_.starvation_ns * kIdleStarvesLonger
                                : config_.starvation_ns;
  const Nanoseconds between_turns = scaled(slice_->slice_ns(tenant, {runnable_weight_, runnable_.size()}),
                                           kMillionths, tenant.effective_weight);
  return std::clamp(2 * between_turns, bound, bound * kFairTurnsCountUpTo);
}

Nanoseconds DeviceScheduler::waited_ns(const Slot& slot, Nanoseconds now) const {
  return elapsed(slot.tenant.waiting_since, now);
}

PriorityClass DeviceScheduler::class_of(const Slot& slot) const {
  const TenantSpec& spec = slot.tenant.spec;
  return slot.over_share ? std::max(spec.priority, PriorityClass::kNormal) : spec.priority;
}

Tier DeviceScheduler::tier_of(const Slot& slot, Nanoseconds now) const {
  if (waited_ns(slot, now) >= starvation_bound(static_cast<TenantId>(&slot - slots_.data()))) {
    return Tier::kStarving;
  }
  // Half: what accrues during the quantum of whoever runs now must find room, or the share is lost bit by
  // bit.
  if (slot.tenant.spec.share_permille != 0 && slot.credit.level_ns() * 2 >= slot.credit.burst_ns()) {
    return Tier::kOwed;
  }
  return tier_of_class(slot.queued_in);
}

// A bucket that ran empty counts as spent until it is worth a slice again: no hand-overs for crumbs.
bool DeviceScheduler::spent(const ShareBucket& bucket, bool was_spent) const {
  return was_spent ? bucket.level_ns() < std::min(bucket.burst_ns() / 2, resume_ns()) : bucket.empty();
}

// Time goes by for its buckets; where that changes its class, or lets it run again, it joins that queue anew.
void DeviceScheduler::refresh(TenantId id, Nanoseconds now) {
  Slot& slot = slots_[id];
  const bool was_throttled = slot.throttled;
  if (slot.tenant.spec.cap_permille < kWhole) {
    slot.ceiling.advance(now);
    slot.throttled = spent(slot.ceiling, slot.throttled);
  }
  if (slot.tenant.spec.share_permille != 0) {
    slot.credit.advance(now);
    slot.over_share = spent(slot.credit, slot.over_share);
  }
  const PriorityClass queue = class_of(slot);
  const bool runs_again = was_throttled && !slot.throttled;
  if (runs_again) slot.tenant.waiting_since = now;
  if (!was_throttled && slot.throttled && !slot.granted) end_wait(slot, now);
  if (!was_throttled && (slot.throttled || queue != slot.queued_in)) order(slot).left(id);
  const bool joins = !slot.throttled && (runs_again || queue != slot.queued_in);
  slot.queued_in = queue;
  if (joins) order(slot).joined(id, slot.tenant, now);
}

void DeviceScheduler::end_grant(TenantId id, Nanoseconds now) {
  auto grant = std::find_if(grants_.begin(), grants_.end(), [id](const Grant& g) { return g.tenant == id; });
  assert(grant != grants_.end());
  const Nanoseconds since = grant->since_ns;
  Slot& slot = slots_[id];
  if (slot.own_width == 0) free_width_ += grant->width_permille;
  grants_.erase(grant);
  slot.granted = false;
  slot.tenant.granted_ns += elapsed(since, now);
  slot.tenant.last_served = slot.tenant.waiting_since = now;
}

void DeviceScheduler::end_expired(Nanoseconds now) {
  for (size_t i = grants_.size(); i-- > 0;) {
    const TenantId id = grants_[i].tenant;
    Slot& slot = slots_[id];
    const bool used_up = grants_[i].until_ns <= now;
    if (!used_up && !slot.throttled) continue;
    end_grant(id, now);
    if (used_up) order(slot).quantum_used_up(id, slot.tenant, now);
  }
}

DeviceScheduler::Place DeviceScheduler::place_of(TenantId id, Nanoseconds now) const {
  const Slot& slot = slots_[id];
  const Tier tier = tier_of(slot, now);
  const uint64_t rank =
      tier == Tier::kStarving ? slot.tenant.waiting_since : order(slot).rank(id, slot.tenant, now);
  return {tier, rank, slot.tenant.last_served, id};
}

bool DeviceScheduler::gives_way(const Grant& grant, Tier tier) const {
  return grant.tier > tier && slots_[grant.tenant].own_width == 0;
}

bool DeviceScheduler::can_make_room(const Slot& urgent, Tier tier) const {
  uint32_t width = free_width_;
  for (const Grant& grant : grants_) width += gives_way(grant, tier) ? grant.width_permille : 0;
  return urgent.tenant.spec.width_permille <= width;
}

// Only a class's urgency ends a running grant: whoever starves or is owed takes its turn at the next
// quantum's end.
void DeviceScheduler::preempt(Nanoseconds now) {
  for (TenantId id : runnable_) {
    const Slot& urgent = slots_[id];
    if (urgent.own_width != 0 || urgent.granted || urgent.throttled ||
        urgent.queued_in > PriorityClass::kHigh)
      continue;
    const Tier tier = tier_of_class(urgent.queued_in);
    if (!can_make_room(urgent, tier)) continue;
    while (!fits(urgent)) {
      auto last = std::max_element(grants_.begin(), grants_.end(), [&](const Grant& a, const Grant& b) {
        return std::pair(gives_way(a, tier), a.tier) < std::pair(gives_way(b, tier), b.tier);
      });
      end_grant(last->tenant, now);
    }
  }
}

// When a waiting tenant may end a grant for its target's sake, if it is ahead in their order then; kNever
// where it may not.
Nanoseconds DeviceScheduler::due_against(const Slot& waiting, const Grant& grant) const {
  const Tenant& tenant = waiting.tenant;
  if (tenant.spec.target_wait_ns == 0 || waiting.granted || waiting.throttled) return kNever;
  if (waiting.own_width != 0 || slots_[grant.tenant].own_width != 0) return kNever;
  if (grant.tier <= Tier::kOwed || slots_[grant.tenant].queued_in != waiting.queued_in) return kNever;
  return std::max(tenant.waiting_since + tenant.spec.target_wait_ns / 2,
                  grant.since_ns + config_.limits.shortest_ns);
}

// Level is enough: what the other has used of its turn may not be known before it ends.
bool DeviceScheduler::may_go_before(const Slot& waiting, const Grant& grant, Nanoseconds now) const {
  const auto id = static_cast<TenantId>(&waiting - slots_.data());
  const OrderPolicy& ranks = order(waiting);
  return ranks.rank(id, waiting.tenant, now) <= ranks.rank(grant.tenant, slots_[grant.tenant].tenant, now);
}

// When ending grants that are in its way would make room, by their times alone: what they will have used by
// then is not known before.
Nanoseconds DeviceScheduler::due_ns(const Slot& waiting) const {
  if (waiting.tenant.spec.target_wait_ns == 0 || waiting.own_width != 0 || fits(waiting)) return kNever;
  std::vector<std::pair<Nanoseconds, uint32_t>> dues;
  for (const Grant& grant : grants_) dues.emplace_back(due_against(waiting, grant), grant.width_permille);
  std::sort(dues.begin(), dues.end());
  uint32_t width = free_width_;
  for (const auto& [due, more] : dues) {
    width += more;
    if (width >= waiting.tenant.spec.width_permille) return due;
  }
  return kNever;
}

// All or nothing: one that would not fit even so ends no grant. The room is its own, unless somebody waits of
// a higher tier.
void DeviceScheduler::make_room_in_time(Nanoseconds now) {
  std::vector<TenantId> behind;
  for (TenantId id : runnable_) {
    const Slot& waiting = slots_[id];
    if (due_ns(waiting) > now) continue;
    behind.clear();
    uint32_t width = free_width_;
    for (const Grant& grant : grants_) {
      if (due_against(waiting, grant) > now || !may_go_before(waiting, grant, now)) continue;
      behind.push_back(grant.tenant);
      width += grant.width_permille;
    }
    if (width < waiting.tenant.spec.width_permille) continue;
    for (size_t i = 0; !fits(waiting); ++i) end_grant(behind[i], now);
    const Place place = place_of(id, now);
    if (first_waiting(now, false)->tier >= place.tier) give(place, now, kNever);
  }
}

// Into its sum; what follows is another wait.
void DeviceScheduler::end_wait(Slot& slot, Nanoseconds now) {
  slot.tenant.waited_ns += elapsed(slot.tenant.waiting_since, now);
  slot.tenant.waiting_since = now;
}

DeviceScheduler::Times DeviceScheduler::times(TenantId id, Nanoseconds now) const {
  const Slot& slot = slots_[id];
  Times times{slot.tenant.granted_ns, slot.tenant.waited_ns, 0};
  for (const Grant& grant : grants_) {
    if (grant.tenant == id) times.granted_ns += elapsed(grant.since_ns, now);
  }
  if (!slot.tenant.runnable || slot.granted || slot.throttled) return times;
  times.waits_for_ns = waited_ns(slot, now);
  times.waited_ns += times.waits_for_ns;
  return times;
}

bool DeviceScheduler::anyone_waits() const {
  return std::any_of(runnable_.begin(), runnable_.end(), [this](TenantId id) {
    const Slot& slot = slots_[id];
    return slot.own_width == 0 && !slot.granted && !slot.throttled;
  });
}

Nanoseconds DeviceScheduler::quantum_end(const Slot& slot, Nanoseconds now) const {
  Rivals rivals;
  for (TenantId id : runnable_) {
    const Slot& other = slots_[id];
    if (other.own_width != 0 || other.queued_in > slot.queued_in) continue;
    rivals.weights += other.tenant.effective_weight;
    ++rivals.count;
  }
  return now + slice_->slice_ns(slot.tenant, rivals);
}

std::optional<DeviceScheduler::Place> DeviceScheduler::first_waiting(Nanoseconds now,
                                                                     bool only_fitting) const {
  std::optional<Place> first;
  for (TenantId id : runnable_) {
    const Slot& slot = slots_[id];
    if (slot.granted || slot.throttled || (only_fitting && !fits(slot))) continue;
    const Place place = place_of(id, now);
    if (!first || place < *first) first = place;
  }
  return first;
}

void DeviceScheduler::give(const Place& place, Nanoseconds now, Nanoseconds until_ns, bool fills_gap) {
  Slot& slot = slots_[place.tenant];
  end_wait(slot, now);
  slot.granted = true;
  const uint32_t width = slot.own_width != 0 ? slot.own_width : slot.tenant.spec.width_permille;
  if (slot.own_width == 0) free_width_ -= width;
  grants_.push_back({place.tenant, place.tier, width, now, until_ns, fills_gap});
}

void DeviceScheduler::grant_own(Nanoseconds now) {
  for (TenantId id : runnable_) {
    const Slot& slot = slots_[id];
    if (slot.own_width == 0 || slot.granted || slot.throttled) continue;
    give(place_of(id, now), now, kNever);
  }
}

bool DeviceScheduler::grant_next(Nanoseconds now) {
  const std::optional<Place> first = first_waiting(now, false);
  if (!first) return false;
  if (fits(slots_[first->tenant])) {
    give(*first, now, kNever);
    return true;
  }
  const std::optional<Place> filler = first_waiting(now, true);
  if (!filler) return false;
  close_open_grants(now);
  Nanoseconds room_at = now;
  for (const Grant& grant : grants_) {
    if (slots_[grant.tenant].own_width == 0) room_at = std::max(room_at, grant.until_ns);
  }
  if (room_at < now + config_.limits.shortest_ns) return false;
  give(*filler, now, std::min(room_at, quantum_end(slots_[filler->tenant], now)), true);
  return true;
}

// While someone waits, every grant has an end; a ceiling ends one where its tokens do.
void DeviceScheduler::close_open_grants(Nanoseconds now) {
  const bool contended = anyone_waits();
  for (Grant& grant : grants_) {
    const Slot& slot = slots_[grant.tenant];
    if (contended && slot.own_width == 0 && grant.until_ns == kNever) grant.until_ns = quantum_end(slot, now);
    if (slot.tenant.spec.cap_permille == kWhole) continue;
    const auto tokens = static_cast<Nanoseconds>(std::max<int64_t>(slot.ceiling.level_ns(), resume_ns()));
    grant.until_ns = std::min(grant.until_ns, now + scaled(tokens, kWhole, lane_permille(slot)));
  }
}

const std::vector<Grant>& DeviceScheduler::decide(Nanoseconds now) {
  now = decided_at_ = forward(now);
  note_grants(now);
  for (TenantId id : runnable_) refresh(id, now);
  end_expired(now);
  preempt(now);
  make_room_in_time(now);
  grant_own(now);
  while (free_width_ > 0 && grant_next(now)) {
  }
  close_open_grants(now);
  return grants_;
}

Nanoseconds DeviceScheduler::next_decision_ns() const {
  Nanoseconds next = kNever;
  for (const Grant& grant : grants_) next = std::min(next, grant.until_ns);
  for (TenantId id : runnable_) {
    const Slot& slot = slots_[id];
    const Nanoseconds due = due_ns(slot);
    if (due > decided_at_) next = std::min(next, due);  // else it was looked at, and others are ahead
    if (!slot.throttled) continue;
    const auto enough = static_cast<Nanoseconds>(std::min(slot.ceiling.burst_ns() / 2, resume_ns()));
    next = std::min(next, std::max(slot.ceiling.reaches_at(enough), decided_at_ + 1));
  }
  return next;
}

}  // namespace tessera::scheduling
