#include "memory/reclaim/fair_shares.h"

#include <algorithm>
#include <numeric>

namespace tessera::memory {
namespace {

__extension__ using Wide = unsigned __int128;

uint64_t part(uint64_t bytes, uint64_t numerator, uint64_t denominator) {
  return static_cast<uint64_t>(Wide{bytes} * numerator / denominator);
}

// Deals `bytes` by weights, to nobody more than it wants.
void pour(uint64_t bytes, std::span<const TenantMemory> tenants, std::vector<uint64_t>& shares) {
  std::vector<size_t> open(tenants.size());
  std::iota(open.begin(), open.end(), size_t{0});
  while (bytes > 0) {
    std::erase_if(open,
                  [&](size_t i) { return tenants[i].weight == 0 || shares[i] >= tenants[i].wanted_bytes; });
    uint64_t weights = 0;
    for (const size_t i : open) weights += tenants[i].weight;
    if (weights == 0) return;
    uint64_t given = 0;
    for (const size_t i : open) {
      const uint64_t share =
          std::min(part(bytes, tenants[i].weight, weights), tenants[i].wanted_bytes - shares[i]);
      shares[i] += share;
      given += share;
    }
    if (given == 0) return;  // less than a byte for each
    bytes -= given;
  }
}

}  // namespace

std::vector<uint64_t> fair_shares(std::span<const TenantMemory> tenants, uint64_t capacity) {
  std::vector<uint64_t> shares(tenants.size());
  Wide minima = 0;
  for (size_t i = 0; i < tenants.size(); ++i) {
    shares[i] = std::min(tenants[i].min_bytes, tenants[i].wanted_bytes);
    minima += shares[i];
  }
  if (minima > capacity) {
    for (uint64_t& share : shares) share = static_cast<uint64_t>(Wide{share} * capacity / minima);
    return shares;
  }
  pour(capacity - static_cast<uint64_t>(minima), tenants, shares);
  return shares;
}

}  // namespace tessera::memory
