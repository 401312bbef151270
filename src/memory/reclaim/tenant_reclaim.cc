#include "memory/reclaim/tenant_reclaim.h"

#include <algorithm>
#include <numeric>

namespace tessera::memory {
namespace {

__extension__ using Wide = unsigned __int128;

uint64_t part(uint64_t bytes, uint64_t numerator, uint64_t denominator) {
  return static_cast<uint64_t>(Wide{bytes} * numerator / denominator);
}

uint64_t above(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

// What a tenant could use.
uint64_t most(const TenantMemory& tenant) { return std::min(tenant.wanted_bytes, tenant.limit_bytes); }

// Deals `bytes` by weights, to nobody more than it has room for.
void pour(uint64_t bytes, std::span<const TenantMemory> tenants, std::vector<uint64_t>& shares) {
  std::vector<size_t> open(tenants.size());
  std::iota(open.begin(), open.end(), size_t{0});
  while (bytes > 0) {
    std::erase_if(open, [&](size_t i) { return tenants[i].weight == 0 || shares[i] >= most(tenants[i]); });
    uint64_t weights = 0;
    for (const size_t i : open) weights += tenants[i].weight;
    if (weights == 0) return;
    uint64_t given = 0;
    for (const size_t i : open) {
      const uint64_t share = std::min(part(bytes, tenants[i].weight, weights), most(tenants[i]) - shares[i]);
      shares[i] += share;
      given += share;
    }
    if (given == 0) return;  // less than a byte for each
    bytes -= given;
  }
}

// The least level such that what stands above it is no more than `needed`; all that is above it goes.
void level_off(std::span<const uint64_t> excess, uint64_t needed, std::vector<uint64_t>& plan) {
  std::vector<uint64_t> sorted(excess.begin(), excess.end());
  std::sort(sorted.rbegin(), sorted.rend());
  uint64_t total = 0, level = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    total += sorted[i];
    const uint64_t next = i + 1 < sorted.size() ? sorted[i + 1] : 0;
    const uint64_t freed = total - next * (i + 1);  // if the first ones come down to the next one's height
    if (freed < needed) continue;
    level = next + (freed - needed) / (i + 1);
    break;
  }
  for (size_t i = 0; i < excess.size(); ++i) plan[i] = above(excess[i], level);
}

}  // namespace

std::vector<uint64_t> fair_shares(std::span<const TenantMemory> tenants, uint64_t capacity) {
  std::vector<uint64_t> shares(tenants.size());
  Wide minima = 0;
  for (size_t i = 0; i < tenants.size(); ++i) {
    shares[i] = std::min(tenants[i].min_bytes, most(tenants[i]));
    minima += shares[i];
  }
  if (minima > capacity) {
    for (uint64_t& share : shares) share = static_cast<uint64_t>(Wide{share} * capacity / minima);
    return shares;
  }
  pour(capacity - static_cast<uint64_t>(minima), tenants, shares);
  return shares;
}

std::vector<uint64_t> plan_reclaim(std::span<const TenantMemory> tenants, uint64_t capacity,
                                   uint64_t needed) {
  const std::vector<uint64_t> shares = fair_shares(tenants, capacity);
  std::vector<uint64_t> plan(tenants.size()), excess(tenants.size());
  for (size_t i = 0; i < tenants.size(); ++i) {
    const TenantMemory& tenant = tenants[i];
    excess[i] =
        std::min(above(tenant.resident_bytes, shares[i]), above(tenant.resident_bytes, tenant.fixed_bytes));
  }
  level_off(excess, needed, plan);
  uint64_t left = above(needed, std::accumulate(plan.begin(), plan.end(), uint64_t{0}));
  std::vector<size_t> lightest(tenants.size());
  std::iota(lightest.begin(), lightest.end(), size_t{0});
  std::stable_sort(lightest.begin(), lightest.end(),
                   [&](size_t a, size_t b) { return tenants[a].weight < tenants[b].weight; });
  for (const size_t i : lightest) {
    const TenantMemory& tenant = tenants[i];
    const uint64_t kept = std::max(tenant.min_bytes, tenant.fixed_bytes);
    const uint64_t more = std::min(left, above(tenant.resident_bytes - plan[i], kept));
    plan[i] += more;
    left -= more;
  }
  return plan;
}

}  // namespace tessera::memory
