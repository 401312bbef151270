// ResidencyBroker's order: whose request is next, and who makes room for it.
#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "node/residency_broker.h"

namespace tessera::node {
namespace {

using partitioning::Presence;
using partitioning::ResidentTenant;
using vgpu::BudgetKind;

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
// When to look again whether those before somebody have stopped to grow.
constexpr uint64_t kForecastLookNs = 100'000'000;

}  // namespace

uint64_t ResidencyBroker::aside_bytes(uint32_t index, const Waiting& request, uint64_t now_ns) const {
  const Tenants all = tenants_of(index, now_ns);
  const partitioning::TurnLengths turns(all.tenants, turn_rules(index, all.tenants));
  const size_t own = all.number_of({request.lease, request.message.device});
  const auto place = partitioning::place_in_line(all.tenants[own], turns, now_ns);
  uint64_t bytes = 0;
  for (size_t i = 0; i < all.tenants.size(); ++i) {
    if (i == own || all.tenants[i].presence != Presence::kIn) continue;
    if (partitioning::place_in_line(all.tenants[i], turns, now_ns) < place)
      bytes += held_.at(all.places[i].lease).parts[all.places[i].device].growth_bytes(now_ns);
  }
  return bytes;
}

uint64_t ResidencyBroker::total_bytes(const Waiting& request) const {
  const ResidentTenant& tenant = held_.at(request.lease).parts[request.message.device].tenant;
  if (request.brings_back()) return tenant.out_bytes;  // more than when it asked, perhaps
  return request.message.bytes_needed + (tenant.presence == Presence::kOut ? tenant.out_bytes : 0);
}

ResidencyBroker::Tenants ResidencyBroker::tenants_of(uint32_t index, uint64_t now_ns) const {
  Tenants found;
  for (const auto& [lease, held] : held_) {
    for (uint32_t i = 0; i < held.gpus.size(); ++i) {
      if (held.gpus[i] != index) continue;
      found.tenants.push_back(held.parts[i].tenant);
      found.tenants.back().can_be_asked = held.connected && !held.parts[i].asked;
      found.tenants.back().blocked = false;
      if (held.parts[i].waits_since_ns) found.tenants.back().waits_since_ns = *held.parts[i].waits_since_ns;
      found.places.push_back({lease, i});
    }
  }
  for (const Waiting& request : gpus_.at(index).queue) {
    ResidentTenant& tenant = found.tenants[found.number_of({request.lease, request.message.device})];
    tenant.waits_since_ns = std::min(tenant.waits_since_ns, now_ns);
    tenant.blocked |= !request.brings_back();
  }
  deal_terms(index, found);
  partitioning::mark_shares(found.tenants, capacity(index));
  return found;
}

partitioning::MemoryTerms ResidencyBroker::terms_of(SliceId slice, uint32_t index) const {
  const auto& terms = gpus_.at(index).terms;
  const auto found = terms.find(slice);
  return found == terms.end() ? partitioning::MemoryTerms() : found->second;
}

// A slice's minimum is its processes' together, first come first served; its weight is shared by those that
// take part.
void ResidencyBroker::deal_terms(uint32_t index, Tenants& tenants) const {
  constexpr uint32_t kParts = 16;  // of a weight: so that few processes of small weights can share one
  struct Sharing {
    partitioning::MemoryTerms terms;
    uint32_t processes = 0;
  };
  std::map<SliceId, Sharing> slices;
  const auto slice_of = [&](size_t i) { return held_.at(tenants.places[i].lease).slice; };
  for (size_t i = 0; i < tenants.tenants.size(); ++i) {
    Sharing& slice = slices.try_emplace(slice_of(i), Sharing{terms_of(slice_of(i), index)}).first->second;
    slice.processes += tenants.tenants[i].takes_part() ? 1 : 0;
  }
  for (size_t i = 0; i < tenants.tenants.size(); ++i) {
    Sharing& slice = slices.at(slice_of(i));
    ResidentTenant& tenant = tenants.tenants[i];
    tenant.min_bytes = std::min(tenant.resident_bytes + tenant.out_bytes, slice.terms.min_bytes);
    slice.terms.min_bytes -= tenant.min_bytes;
    tenant.weight = std::max(slice.terms.weight * kParts / std::max(slice.processes, 1u), 1u);
  }
}

uint64_t ResidencyBroker::attainable_bytes(uint32_t index, SliceId slice) const {
  uint64_t left = capacity(index);
  for (const auto& [other, terms] : gpus_.at(index).terms)
    left -= other == slice ? 0 : std::min(left, terms.min_bytes);
  return left;
}

uint64_t ResidencyBroker::move_ns(uint32_t index, std::span<const ResidentTenant> tenants) const {
  const Gpu& gpu = gpus_.at(index);
  const uint64_t bytes = partitioning::exchanged_bytes(tenants, capacity(index));
  return std::max(gpu.speed.exchange_ns(bytes), gpu.detector.mean_moving_ns());
}

partitioning::TurnRules ResidencyBroker::turn_rules(uint32_t index,
                                                    std::span<const ResidentTenant> tenants) const {
  const uint64_t most_round_ns = std::max(round_ns_, partitioning::kMostResidenceRoundNs);
  const uint64_t move = move_ns(index, tenants);
  const auto longest_ns = [&](uint64_t round_ns) {
    return partitioning::longest_turn_ns(tenants, capacity(index), round_ns, move);
  };
  const uint64_t bound_ns = longest_ns(round_ns_);
  const uint64_t turn_ns = gpus_.at(index).detector.turn_ns(bound_ns, longest_ns(most_round_ns), move);
  const uint64_t round_ns = turn_ns > bound_ns ? most_round_ns : round_ns_;
  return {turn_ns, move, round_ns - std::min(round_ns, move)};
}

ResidencyBroker::Queue::iterator ResidencyBroker::next_request(uint32_t index, uint64_t now_ns) {
  Gpu& gpu = gpus_.at(index);
  if (gpu.returning) {
    const auto its = std::find_if(gpu.queue.begin(), gpu.queue.end(), [&](const Waiting& request) {
      return Place{request.lease, request.message.device} == *gpu.returning;
    });
    if (its != gpu.queue.end() || now_ns < gpu.returning_until_ns) return its;
    stop_returning(gpu, now_ns);
  }
  const Tenants all = tenants_of(index, now_ns);
  const partitioning::TurnLengths turns(all.tenants, turn_rules(index, all.tenants));
  auto first = gpu.queue.end();
  std::optional<partitioning::PlaceInLine> first_place;
  for (auto request = gpu.queue.begin(); request != gpu.queue.end(); ++request) {
    const Place whose{request->lease, request->message.device};
    if (is_giving(whose)) continue;
    const auto place = partitioning::place_in_line(all.tenants[all.number_of(whose)], turns, now_ns);
    if (first_place && *first_place <= place) continue;
    first = request;
    first_place = place;
  }
  return first;
}

// All that it has must be there at once. What others cannot move is not counted: they may end, or free it.
// What they are guaranteed is, for who grows.
bool ResidencyBroker::can_never_fit(uint32_t gpu, const Waiting& request) const {
  const Held& held = held_.at(request.lease);
  const ResidentTenant& tenant = held.parts[request.message.device].tenant;
  const uint64_t own = tenant.resident_bytes + (request.brings_back() ? 0 : tenant.out_bytes);
  const uint64_t most = request.brings_back() ? capacity(gpu) : attainable_bytes(gpu, held.slice);
  const uint64_t total = request.brings_back() ? tenant.out_bytes : request.message.bytes_needed;
  return total > most - std::min(most, own);
}

uint64_t ResidencyBroker::expected_bytes(uint32_t gpu) const {
  uint64_t bytes = gpus_.at(gpu).coming_bytes;
  for (const auto& [lease, held] : held_) {
    for (size_t i = 0; i < held.gpus.size(); ++i) {
      const auto& asked = held.parts[i].asked;
      if (held.gpus[i] == gpu && asked && !asked->overdue)
        bytes += asked->bytes - std::min(asked->bytes, asked->given);
    }
  }
  return bytes;
}

std::optional<uint64_t> ResidencyBroker::awaited_until_ns(uint32_t gpu, uint64_t now_ns) const {
  std::optional<uint64_t> latest;
  for (const auto& [lease, held] : held_) {
    const bool may_hold = lends_ || std::count(held.gpus.begin(), held.gpus.end(), gpu) != 0;
    if (held.awaited_until_ns <= now_ns || !may_hold) continue;
    latest = std::max(latest.value_or(0), held.awaited_until_ns);
  }
  return latest;
}

void ResidencyBroker::stop_returning(Gpu& gpu, uint64_t now_ns) {
  const auto found = held_.find(gpu.returning->lease);
  if (found != held_.end()) {
    ResidentTenant& tenant = found->second.parts[gpu.returning->device].tenant;
    if (tenant.presence == Presence::kReturning) {
      tenant.presence = Presence::kOut;
      tenant.since_ns = now_ns;
      tenant.wants = false;  // until it asks again
    }
  }
  gpu.returning.reset();
  gpu.returned_bytes = 0;
  gpu.moving_since_ns = 0;
  gpu.moved_ns = now_ns;
}

void ResidencyBroker::begin_return(uint32_t index, const Place& place, uint64_t patience_ns,
                                   uint64_t now_ns) {
  Gpu& gpu = gpus_.at(index);
  ResidentTenant& tenant = part(place).tenant;
  if (tenant.presence != Presence::kReturning) tenant.since_ns = now_ns;
  tenant.presence = Presence::kReturning;
  gpu.returning = place;
  gpu.returning_until_ns = now_ns + patience_ns;
  if (gpu.moving_since_ns == 0) gpu.moving_since_ns = now_ns;
}

void ResidencyBroker::end_wait(Part& part, const Waiting& request, uint64_t now_ns) {
  ResidentTenant& tenant = part.tenant;
  const uint64_t waited = now_ns - std::min(now_ns, std::max(request.since_ns, tenant.since_ns));
  const uint64_t more = std::min(waited, round_ns_ - std::min(round_ns_, tenant.prolonged_ns));
  tenant.since_ns += more;
  tenant.prolonged_ns += more;
}

void ResidencyBroker::grant(uint32_t index, Queue::iterator request, uint64_t now_ns, Effects& effects) {
  Gpu& gpu = gpus_.at(index);
  const Place place{request->lease, request->message.device};
  ResidentTenant& tenant = part(place).tenant;
  const uint64_t own = tenant.resident_bytes + (request->brings_back() ? 0 : tenant.out_bytes);
  const uint64_t most =
      request->brings_back() ? capacity(index) : attainable_bytes(index, held_.at(place.lease).slice);
  const uint64_t fits = std::max(request->message.bytes_needed, most - std::min(most, own));
  const uint64_t aside = aside_bytes(index, *request, now_ns);
  const uint64_t free = std::max(request->message.bytes_needed, left(index) - std::min(left(index), aside));
  const uint64_t bytes = std::min({request->message.bytes_wanted, free, fits});
  if (!request->brings_back()) part(place).forecast.grew(bytes, now_ns - request->since_ns, now_ns);
  if (request->brings_back()) {
    begin_return(index, place, kReturnPatienceNs, now_ns);
    if (gpu.returned_bytes == 0) gpu.first_returned_ns = now_ns;
    gpu.returned_bytes += bytes;
  } else if (tenant.presence == Presence::kOut && tenant.out_bytes > 0) {
    // It will ask for that as soon as it goes on with what is granted now.
    begin_return(index, place, kFollowPatienceNs, now_ns);
  } else if (tenant.presence == Presence::kIn) {
    if (tenant.resident_bytes == 0) {
      tenant.since_ns = now_ns;
      tenant.prolonged_ns = 0;
    } else {
      end_wait(part(place), *request, now_ns);
    }
  }
  tenant.stuck_bytes = 0;
  set_resident(held_.at(place.lease), place.device, tenant.resident_bytes + bytes);
  effects.answers.push_back({place.lease, request->request, place.device, bytes, BudgetKind::kResident});
  gpu.queue.erase(request);
}

void ResidencyBroker::ask_to_shrink(const Tenants& others, const partitioning::Need& need, uint64_t now_ns,
                                    Effects& effects) {
  for (const size_t i : partitioning::choose_to_shrink(others.tenants, need.who)) {
    const Place whose = others.places[i];
    if (now_ns < part(whose).shrink_not_before_ns) continue;
    part(whose).shrink_not_before_ns = now_ns + kShrinkPauseNs;
    effects.hints.push_back({whose.lease, 0, whose.device, need.least, BudgetKind::kResident});
  }
}

// For as much more as it is about to need.
bool ResidencyBroker::ask_others(uint32_t index, const Waiting& request, uint64_t now_ns, Effects& effects) {
  const uint64_t there = left(index) + expected_bytes(index);
  const uint64_t aside = aside_bytes(index, request, now_ns), total = total_bytes(request) + aside;
  if (total <= there) return true;
  const Tenants others = tenants_of(index, now_ns);
  const Place place{request.lease, request.message.device};
  const uint64_t ahead = std::max(request.message.bytes_wanted, total) + part(place).growth_bytes(now_ns);
  const partitioning::Need need{total - there, ahead - there, others.number_of(place)};
  const partitioning::TurnRules rules = turn_rules(index, others.tenants);
  const auto victims = partitioning::choose_victims(others.tenants, need, rules, now_ns);
  for (const partitioning::Victim& victim : victims) {
    const Place whose = others.places[victim.index];
    if (next_number_ == 0) next_number_ = 1;  // 0 means that no answer is wanted
    part(whose).asked = Asked{next_number_, victim.bytes, now_ns, request.brings_back()};
    effects.recalls.push_back(
        {whose.lease, next_number_++, whose.device, victim.bytes, BudgetKind::kResident});
  }
  if (victims.empty()) {
    ask_to_shrink(others, need, now_ns, effects);
    uint64_t next = partitioning::next_choice_ns(others.tenants, rules, now_ns).value_or(kNever);
    if (aside > 0) next = std::min(next, now_ns + kForecastLookNs);
    const uint64_t for_long_ns = request.since_ns + kImmovableRounds * round_ns_;
    if (for_long_ns > now_ns) next = std::min(next, for_long_ns);
    if (next != kNever) gpus_.at(index).look_at_ns = next;
  }
  return !victims.empty();
}

ResidencyBroker::Movable ResidencyBroker::movable(uint32_t index, const Waiting& request,
                                                  uint64_t now_ns) const {
  Movable found{left(index) + expected_bytes(index), 0};
  for (const auto& [lease, held] : held_) {
    for (uint32_t i = 0; i < held.gpus.size(); ++i) {
      if (held.gpus[i] != index || Place{lease, i} == Place{request.lease, request.message.device}) continue;
      const Part& part = held.parts[i];
      const bool silent = part.asked && part.asked->overdue;
      const uint64_t kept =
          silent ? part.tenant.resident_bytes : std::min(part.tenant.stuck_bytes, part.tenant.resident_bytes);
      found.bytes += part.tenant.resident_bytes - kept;
      if (now_ns < part.no_swap_until_ns) found.without_place += kept;
    }
  }
  return found;
}

// Who grows is refused; what was there once waits, as others may end.
std::optional<vgpu::Refusal> ResidencyBroker::why_refused(uint32_t index, const Waiting& request,
                                                          uint64_t now_ns) const {
  if (can_never_fit(index, request)) return vgpu::Refusal::kNeverFits;
  if (request.brings_back()) return std::nullopt;
  const uint64_t needed = request.message.bytes_needed;
  const Movable others = movable(index, request, now_ns);
  if (others.bytes >= needed) return std::nullopt;
  if (others.bytes + others.without_place >= needed) return vgpu::Refusal::kNoSwap;
  const bool for_long = now_ns - std::min(now_ns, request.since_ns) >= kImmovableRounds * round_ns_;
  return for_long ? std::optional(vgpu::Refusal::kImmovable) : std::nullopt;
}

void ResidencyBroker::refuse(uint32_t index, Queue::iterator request, vgpu::Refusal why, Effects& effects) {
  effects.answers.push_back(
      {request->lease, request->request, request->message.device, 0, BudgetKind::kResident, why});
  gpus_.at(index).queue.erase(request);
}

bool ResidencyBroker::serve_one(uint32_t index, Queue::iterator request, uint64_t now_ns, Effects& effects) {
  if (const auto why = why_refused(index, *request, now_ns)) {
    refuse(index, request, *why, effects);
    return true;
  }
  // Nobody is brought back in part, to wait there for the rest: that others would have to wait for, too.
  const bool can_go_on = ask_others(index, *request, now_ns, effects);
  const bool has_begun = gpus_.at(index).returning.has_value();
  const uint64_t needed = request->message.bytes_needed + aside_bytes(index, *request, now_ns);
  if (needed > left(index) || (!can_go_on && !has_begun)) return false;
  grant(index, request, now_ns, effects);
  return true;
}

void ResidencyBroker::count_waits(uint32_t index, uint64_t now_ns) {
  Gpu& gpu = gpus_.at(index);
  if (gpu.queue.empty() && !gpu.has_waiting) return;
  std::set<std::pair<LeaseId, uint32_t>> asking;
  for (const Waiting& request : gpu.queue) asking.emplace(request.lease, request.message.device);
  gpu.has_waiting = false;
  for (auto& [lease, held] : held_) {
    for (uint32_t i = 0; i < held.gpus.size(); ++i) {
      if (held.gpus[i] != index) continue;
      Part& part = held.parts[i];
      const bool waits =
          part.tenant.wants || part.tenant.presence == Presence::kReturning || asking.contains({lease, i});
      if (waits && !part.waits_since_ns) part.waits_since_ns = now_ns;
      if (!waits && part.waits_since_ns)
        part.waited_ns += now_ns - std::min(now_ns, *std::exchange(part.waits_since_ns, std::nullopt));
      gpu.has_waiting |= waits;
    }
  }
}

void ResidencyBroker::serve(uint32_t index, uint64_t now_ns, Effects& effects) {
  serve_queue(index, now_ns, effects);
  count_waits(index, now_ns);
}

void ResidencyBroker::serve_queue(uint32_t index, uint64_t now_ns, Effects& effects) {
  Gpu& gpu = gpus_[index];
  gpu.look_at_ns.reset();
  if (gpu.queue.empty()) return;
  if (const auto awaited = awaited_until_ns(index, now_ns)) {
    gpu.look_at_ns = awaited;
    return;
  }
  while (!gpu.queue.empty()) {
    const auto request = next_request(index, now_ns);
    if (request == gpu.queue.end()) {
      if (gpu.returning) gpu.look_at_ns = gpu.returning_until_ns;
      return;
    }
    if (!serve_one(index, request, now_ns, effects)) return;
  }
}

void ResidencyBroker::serve_all(LeaseId lease, uint64_t now_ns, Effects& effects) {
  std::vector<uint32_t> gpus = held_.at(lease).gpus;
  if (lends_) {
    gpus.clear();
    for (const auto& [index, gpu] : gpus_) gpus.push_back(index);
  }
  for (uint32_t gpu : gpus) serve(gpu, now_ns, effects);
}

void ResidencyBroker::expire(uint64_t now_ns, Effects& effects) {
  std::vector<uint32_t> touched;
  for (auto& [lease, held] : held_) {
    for (size_t i = 0; i < held.parts.size(); ++i) {
      auto& asked = held.parts[i].asked;
      if (!asked || asked->overdue || now_ns < asked->since_ns + kEvictPatienceNs) continue;
      asked->overdue = true;
      touched.push_back(held.gpus[i]);
    }
  }
  for (const auto& [index, gpu] : gpus_) {
    if (gpu.look_at_ns && *gpu.look_at_ns <= now_ns) touched.push_back(index);
  }
  for (uint32_t gpu : touched) serve(gpu, now_ns, effects);
}

std::optional<uint64_t> ResidencyBroker::next_deadline_ns() const {
  std::optional<uint64_t> next;
  const auto sooner = [&](uint64_t moment) {
    if (!next || moment < *next) next = moment;
  };
  for (const auto& [lease, held] : held_) {
    for (const Part& part : held.parts) {
      if (part.asked && !part.asked->overdue) sooner(part.asked->since_ns + kEvictPatienceNs);
    }
  }
  for (const auto& [index, gpu] : gpus_) {
    if (gpu.look_at_ns) sooner(*gpu.look_at_ns);
  }
  return next;
}

}  // namespace tessera::node
