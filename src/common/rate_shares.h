// Who gets how much of a link: server, tenants, and the sessions of each, in each direction. Pure.
//
// Everybody gets what they are guaranteed, as far as they want it. What is left, also of what others are
// guaranteed and do not want, is lent by weight, up to each one's ceiling. Where the link is narrower than
// the guarantees together, all of them shrink alike.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tessera {

// Bytes a second.
struct RateTerms {
  uint64_t guaranteed = 0;
  uint64_t ceiling = UINT64_MAX;
  uint32_t weight = 100;  // of what is lent; 1 at least

  bool operator==(const RateTerms&) const = default;
};

struct RateClaim {
  RateTerms terms;
  uint64_t wanted = UINT64_MAX;  // as much as there is
};

// What each may have of `total`, in their order. The sum is at most `total`, and less only where nobody wants
// more.
std::vector<uint64_t> share_rate(uint64_t total, std::span<const RateClaim> claims);

struct TenantClaim {
  RateTerms terms;
  std::vector<RateClaim> sessions;
};
// For each tenant, for each of its sessions. A tenant wants what its sessions want, and is guaranteed what
// its terms say.
std::vector<std::vector<uint64_t>> share_rates(uint64_t total, std::span<const TenantClaim> tenants);

}  // namespace tessera
