#include "partitioning/residency.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

#include "memory/reclaim/fair_shares.h"

namespace tessera::partitioning {
namespace {

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

uint64_t later(uint64_t moment_ns, uint64_t ns) { return moment_ns > kNever - ns ? kNever : moment_ns + ns; }

bool works(const ResidentTenant& tenant) { return tenant.presence == Presence::kIn && !tenant.blocked; }

// From when on it may be asked.
uint64_t ripe_ns(const ResidentTenant& tenant, const TurnLengths& turns) {
  return std::max(works(tenant) ? turns.end_ns(tenant) : 0, tenant.not_before_ns);
}

// What it may be asked for.
uint64_t spare_bytes(const ResidentTenant& tenant) {
  return tenant.resident_bytes - std::min(tenant.resident_bytes, tenant.min_bytes);
}

bool may_give(const ResidentTenant& tenant) {
  return tenant.can_be_asked && spare_bytes(tenant) > 0 && tenant.presence != Presence::kReturning;
}

// It works, with no more than it is entitled to.
bool keeps_share(const ResidentTenant& tenant) { return works(tenant) && tenant.within_share; }

// What others can give that have more than their share, once their turns are over.
uint64_t spare_beyond_shares(std::span<const ResidentTenant> tenants, std::optional<size_t> who) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < tenants.size(); ++i) {
    const ResidentTenant& tenant = tenants[i];
    if (i != who && may_give(tenant) && !keeps_share(tenant))
      bytes += spare_bytes(tenant) - std::min(spare_bytes(tenant), tenant.stuck_bytes);
  }
  return bytes;
}

// The least goes first.
std::tuple<int, uint64_t> rank(const ResidentTenant& tenant, uint64_t turn_end_ns) {
  if (tenant.presence != Presence::kIn) return {tenant.waits_outside() ? 1 : 0, kNever - tenant.since_ns};
  if (tenant.blocked) return {2, kNever - tenant.since_ns};
  return {keeps_share(tenant) ? 4 : 3, turn_end_ns};
}

std::vector<Victim> choose(std::span<const ResidentTenant> tenants, std::span<const size_t> order,
                           const Need& need, bool stuck) {
  std::vector<Victim> victims;
  uint64_t chosen = 0;
  for (const size_t i : order) {
    const ResidentTenant& tenant = tenants[i];
    const uint64_t wanted = works(tenant) || stuck ? need.least : std::max(need.least, need.most);
    const uint64_t spare = spare_bytes(tenant);
    const uint64_t kept = stuck ? 0 : std::min(tenant.stuck_bytes, spare);
    const uint64_t given = std::min(spare - kept, wanted - std::min(wanted, chosen));
    if (given > 0) victims.push_back({i, given});
    chosen += given;
  }
  if (chosen < need.least) victims.clear();
  return victims;
}

// Who is out without wanting anything gives to everybody, who works once its turn is over, who waits to
// those before it.
bool gives_to(const ResidentTenant& tenant, const std::optional<PlaceInLine>& to, const TurnLengths& turns,
              uint64_t now_ns) {
  if (!may_give(tenant) || ripe_ns(tenant, turns) > now_ns) return false;
  const bool waits = tenant.blocked || tenant.waits_outside();
  return !waits || !to || place_in_line(tenant, turns, now_ns) >= *to;
}

// How many of those that work, the first ones of the order's, have to go for what is needed.
size_t workers_to_go(std::span<const ResidentTenant> tenants, std::span<const size_t> order, uint64_t least) {
  uint64_t there = 0;
  const auto can_give = [&](size_t i) {
    return spare_bytes(tenants[i]) - std::min(spare_bytes(tenants[i]), tenants[i].stuck_bytes);
  };
  for (const size_t i : order) there += works(tenants[i]) ? 0 : can_give(i);
  size_t go = 0;
  for (const size_t i : order) {
    if (there >= least) break;
    if (!works(tenants[i])) continue;
    there += can_give(i);
    ++go;
  }
  return go;
}

// Who has to go anyway does before those that wait: of all that take turns theirs are furthest away. What
// those have on the GPU stays for them, and is not moved twice.
void put_leaving_first(std::span<const ResidentTenant> tenants, std::vector<size_t>& order, uint64_t least) {
  size_t left = workers_to_go(tenants, order, least);
  std::stable_partition(order.begin(), order.end(), [&](size_t i) {
    if (!tenants[i].takes_part()) return true;
    if (!works(tenants[i]) || left == 0) return false;
    --left;
    return true;
  });
}

}  // namespace

void mark_shares(std::span<ResidentTenant> tenants, uint64_t capacity) {
  std::vector<memory::TenantMemory> memories;
  for (const ResidentTenant& tenant : tenants) {
    const uint64_t has = tenant.resident_bytes + tenant.out_bytes;
    memories.push_back({.min_bytes = tenant.min_bytes,
                        .weight = tenant.weight,
                        .wanted_bytes = tenant.takes_part() ? has : 0});
  }
  const std::vector<uint64_t> shares = memory::fair_shares(memories, capacity);
  for (size_t i = 0; i < tenants.size(); ++i)
    tenants[i].within_share = tenants[i].resident_bytes <= shares[i];
}

TurnLengths::TurnLengths(std::span<const ResidentTenant> tenants, const TurnRules& rules) : rules_(rules) {
  for (const ResidentTenant& tenant : tenants) {
    if (!tenant.takes_part()) continue;
    ++tenants_;
    weights_ += tenant.weight;
    if (!works(tenant) && tenant.presence != Presence::kReturning)
      latest_end_ns_ = std::min(latest_end_ns_, later(tenant.waits_since_ns, rules_.wait_ns));
  }
}

uint64_t TurnLengths::end_ns(const ResidentTenant& tenant) const {
  __extension__ using Wide = unsigned __int128;
  Wide turn = rules_.turn_ns;
  if (weights_ > 0) turn = turn * tenant.weight * tenants_ / weights_;
  const uint64_t length_ns = turn > kNever ? kNever : static_cast<uint64_t>(turn);
  const uint64_t least_ns = std::min(length_ns, rules_.least_ns);
  return std::max(later(tenant.since_ns, least_ns),
                  std::min(later(tenant.since_ns, length_ns), latest_end_ns_));
}

uint64_t longest_turn_ns(std::span<const ResidentTenant> tenants, uint64_t capacity, uint64_t round_ns,
                         uint64_t move_ns) {
  uint64_t wanting = 0, largest = 1;
  for (const ResidentTenant& tenant : tenants) {
    if (!tenant.takes_part() || tenant.size() == 0) continue;
    ++wanting;
    largest = std::max(largest, tenant.size());
  }
  const uint64_t fit = std::max<uint64_t>(capacity / largest, 1);
  if (wanting <= fit) return kNever;
  // Who goes waits for as many turns and moves in each place, on the average, and for its own move. Where
  // turns have begun together that is more for some: TurnRules::wait_ns sees to it.
  const uint64_t others = wanting - fit, moves_ns = move_ns * wanting;
  const uint64_t rounds_ns = round_ns * fit, round_left_ns = round_ns - std::min(round_ns, 2 * move_ns);
  return std::max(std::min((rounds_ns - std::min(rounds_ns, moves_ns)) / others, round_left_ns), move_ns);
}

uint64_t exchanged_bytes(std::span<const ResidentTenant> tenants, uint64_t capacity) {
  uint64_t all = 0, largest = 0;
  for (const ResidentTenant& tenant : tenants) {
    if (!tenant.takes_part()) continue;
    all += tenant.size();
    largest = std::max(largest, tenant.size());
  }
  return std::min(largest, all - std::min(all, capacity));
}

PlaceInLine place_in_line(const ResidentTenant& tenant, const TurnLengths& turns, uint64_t now_ns) {
  if (tenant.presence == Presence::kReturning) return {PlaceInLine::Part::kReturns, 0};
  const bool in_turn =
      tenant.resident_bytes > 0 && tenant.presence == Presence::kIn && now_ns < turns.end_ns(tenant);
  if (in_turn) return {PlaceInLine::Part::kHasTurn, tenant.since_ns};
  return {PlaceInLine::Part::kWaits, tenant.waits_since_ns};
}

std::vector<Victim> choose_victims(std::span<const ResidentTenant> tenants, const Need& need,
                                   const TurnRules& rules, uint64_t now_ns) {
  const TurnLengths turns(tenants, rules);
  const bool others_have_enough = spare_beyond_shares(tenants, need.who) >= need.least;
  std::optional<PlaceInLine> to;
  if (need.who) to = place_in_line(tenants[*need.who], turns, now_ns);
  std::vector<size_t> order;
  for (size_t i = 0; i < tenants.size(); ++i) {
    if (i == need.who || (others_have_enough && keeps_share(tenants[i]))) continue;
    if (gives_to(tenants[i], to, turns, now_ns)) order.push_back(i);
  }
  const auto key = [&](size_t i) { return rank(tenants[i], turns.end_ns(tenants[i])); };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
  put_leaving_first(tenants, order, need.least);
  std::vector<Victim> victims = choose(tenants, order, need, false);
  if (!victims.empty()) return victims;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return tenants[a].not_before_ns < tenants[b].not_before_ns; });
  return choose(tenants, order, need, true);
}

std::vector<size_t> choose_to_shrink(std::span<const ResidentTenant> tenants, std::optional<size_t> who) {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < tenants.size(); ++i) {
    if (i != who && works(tenants[i]) && may_give(tenants[i])) chosen.push_back(i);
  }
  return chosen;
}

std::optional<uint64_t> next_choice_ns(std::span<const ResidentTenant> tenants, const TurnRules& rules,
                                       uint64_t now_ns) {
  const TurnLengths turns(tenants, rules);
  std::optional<uint64_t> next;
  for (const ResidentTenant& tenant : tenants) {
    if (!may_give(tenant)) continue;
    const uint64_t ripe = ripe_ns(tenant, turns);
    if (ripe > now_ns && (!next || ripe < *next)) next = ripe;
  }
  return next;
}

}  // namespace tessera::partitioning
