#include "partitioning/residency.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

namespace tessera::partitioning {
namespace {

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

// From when on it may be asked.
uint64_t ripe_ns(const ResidentTenant& tenant, uint64_t turn_ns) {
  const bool has_turn = tenant.presence == Presence::kIn && !tenant.blocked;
  const uint64_t turn_ends = has_turn ? tenant.since_ns + turn_ns : 0;
  return std::max(turn_ends, tenant.not_before_ns);
}

bool may_give(const ResidentTenant& tenant) {
  return tenant.can_be_asked && tenant.resident_bytes > 0 && tenant.presence != Presence::kReturning;
}

// The least goes first.
std::tuple<int, uint64_t> rank(const ResidentTenant& tenant) {
  if (tenant.presence != Presence::kIn) return {tenant.wants ? 1 : 0, kNever - tenant.since_ns};
  return tenant.blocked ? std::tuple(2, kNever - tenant.since_ns) : std::tuple(3, tenant.since_ns);
}

std::vector<Victim> choose(std::span<const ResidentTenant> tenants, std::span<const size_t> order,
                           uint64_t bytes, bool stuck) {
  std::vector<Victim> victims;
  for (const size_t i : order) {
    const ResidentTenant& tenant = tenants[i];
    const uint64_t kept = stuck ? 0 : std::min(tenant.stuck_bytes, tenant.resident_bytes);
    const uint64_t given = std::min(tenant.resident_bytes - kept, bytes);
    if (given > 0) victims.push_back({i, given});
    bytes -= given;
  }
  if (bytes > 0) victims.clear();
  return victims;
}

}  // namespace

uint64_t longest_turn_ns(std::span<const ResidentTenant> tenants, uint64_t capacity, uint64_t round_ns) {
  uint64_t wanting = 0, largest = 1;
  for (const ResidentTenant& tenant : tenants) {
    const bool wants = tenant.presence != Presence::kOut || tenant.wants;
    if (!wants || tenant.size() == 0) continue;
    ++wanting;
    largest = std::max(largest, tenant.size());
  }
  const uint64_t fit = std::max<uint64_t>(capacity / largest, 1);
  return wanting <= fit ? kNever : std::min(round_ns, round_ns * fit / (wanting - fit));
}

std::vector<Victim> choose_victims(std::span<const ResidentTenant> tenants, uint64_t bytes, uint64_t turn_ns,
                                   uint64_t now_ns) {
  std::vector<size_t> order;
  for (size_t i = 0; i < tenants.size(); ++i) {
    if (may_give(tenants[i]) && ripe_ns(tenants[i], turn_ns) <= now_ns) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rank(tenants[a]) < rank(tenants[b]); });
  const std::vector<Victim> victims = choose(tenants, order, bytes, false);
  if (!victims.empty()) return victims;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return tenants[a].not_before_ns < tenants[b].not_before_ns; });
  return choose(tenants, order, bytes, true);
}

std::optional<uint64_t> next_choice_ns(std::span<const ResidentTenant> tenants, uint64_t turn_ns,
                                       uint64_t now_ns) {
  std::optional<uint64_t> next;
  for (const ResidentTenant& tenant : tenants) {
    if (!may_give(tenant)) continue;
    const uint64_t ripe = ripe_ns(tenant, turn_ns);
    if (ripe > now_ns && (!next || ripe < *next)) next = ripe;
  }
  return next;
}

}  // namespace tessera::partitioning
