#include "partitioning/residency.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace tessera::partitioning {
namespace {

// From when on it may be asked.
uint64_t ripe_ns(const ResidentTenant& tenant, uint64_t stay_ns) {
  const uint64_t stays_until = tenant.out ? 0 : tenant.since_ns + stay_ns;
  return std::max(stays_until, tenant.not_before_ns);
}

}  // namespace

uint64_t residence_ns(uint64_t missing_bytes, double ns_per_byte, size_t tenants) {
  const double swap_ns = 2 * static_cast<double>(missing_bytes) * ns_per_byte;  // one out, one in
  const uint64_t longest = kResidenceRoundNs / std::max<size_t>(tenants, 2);
  const double wanted = std::min(swap_ns * static_cast<double>(kTurnsPerSwap), static_cast<double>(longest));
  return std::clamp(static_cast<uint64_t>(wanted), kShortestResidenceNs,
                    std::max(longest, kShortestResidenceNs));
}

std::optional<Victim> choose_victim(std::span<const ResidentTenant> tenants, uint64_t stay_ns,
                                    uint64_t now_ns) {
  std::optional<Victim> best;
  const auto rank = [&](const ResidentTenant& tenant) { return std::tuple(!tenant.out, tenant.since_ns); };
  for (size_t i = 0; i < tenants.size(); ++i) {
    const ResidentTenant& tenant = tenants[i];
    if (!tenant.can_be_asked || tenant.resident_bytes == 0 || ripe_ns(tenant, stay_ns) > now_ns) continue;
    if (!best || rank(tenant) < rank(tenants[best->index])) best = Victim{i, tenant.resident_bytes};
  }
  return best;
}

std::optional<uint64_t> next_choice_ns(std::span<const ResidentTenant> tenants, uint64_t stay_ns,
                                       uint64_t now_ns) {
  std::optional<uint64_t> next;
  for (const ResidentTenant& tenant : tenants) {
    if (!tenant.can_be_asked || tenant.resident_bytes == 0) continue;
    const uint64_t ripe = ripe_ns(tenant, stay_ns);
    if (ripe > now_ns && (!next || ripe < *next)) next = ripe;
  }
  return next;
}

}  // namespace tessera::partitioning
