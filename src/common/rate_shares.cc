#include "common/rate_shares.h"

#include <algorithm>
#include <cmath>

namespace tessera {
namespace {

// Large enough for every link, and small enough that sums of many stay exact.
constexpr uint64_t kMostRate = uint64_t{1} << 48;

uint64_t bounded(uint64_t rate) { return std::min(rate, kMostRate); }

uint64_t most_of(const RateClaim& claim) { return bounded(std::min(claim.wanted, claim.terms.ceiling)); }

// `part` of `whole` of `amount`, rounded down.
uint64_t part_of(uint64_t amount, uint64_t part, uint64_t whole) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(amount) * part / whole);
}

std::vector<uint64_t> guarantees(uint64_t total, std::span<const RateClaim> claims) {
  std::vector<uint64_t> rates;
  uint64_t sum = 0;
  for (const RateClaim& claim : claims) {
    rates.push_back(std::min(bounded(claim.terms.guaranteed), most_of(claim)));
    sum += rates.back();
  }
  if (sum > total)
    for (uint64_t& rate : rates) rate = part_of(rate, total, sum);
  return rates;
}

}  // namespace

std::vector<uint64_t> share_rate(uint64_t total, std::span<const RateClaim> claims) {
  total = bounded(total);
  std::vector<uint64_t> rates = guarantees(total, claims);
  uint64_t left = total;
  for (const uint64_t rate : rates) left -= rate;
  std::vector<size_t> open;  // who can take more
  for (size_t i = 0; i < claims.size(); ++i)
    if (rates[i] < most_of(claims[i])) open.push_back(i);
  // Each round fills up somebody, or is the last.
  while (left > 0 && !open.empty()) {
    uint64_t weights = 0;
    for (const size_t i : open) weights += std::max(claims[i].terms.weight, 1U);
    const auto offer = [&](size_t i) { return part_of(left, std::max(claims[i].terms.weight, 1U), weights); };
    const auto full = std::partition(open.begin(), open.end(),
                                     [&](size_t i) { return most_of(claims[i]) - rates[i] > offer(i); });
    if (full == open.end()) {
      for (const size_t i : open) rates[i] += offer(i);
      break;
    }
    uint64_t given = 0;
    for (auto one = full; one != open.end(); ++one) {
      given += most_of(claims[*one]) - rates[*one];
      rates[*one] = most_of(claims[*one]);
    }
    left -= given;
    open.erase(full, open.end());
  }
  return rates;
}

std::vector<std::vector<uint64_t>> share_rates(uint64_t total, std::span<const TenantClaim> tenants) {
  std::vector<RateClaim> claims;
  for (const TenantClaim& tenant : tenants) {
    RateClaim claim{tenant.terms, 0};
    for (const RateClaim& session : tenant.sessions) claim.wanted = bounded(claim.wanted + most_of(session));
    claims.push_back(claim);
  }
  const std::vector<uint64_t> totals = share_rate(total, claims);
  std::vector<std::vector<uint64_t>> rates;
  for (size_t i = 0; i < tenants.size(); ++i) rates.push_back(share_rate(totals[i], tenants[i].sessions));
  return rates;
}

}  // namespace tessera
