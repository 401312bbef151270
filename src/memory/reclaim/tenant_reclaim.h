// Whose memory goes when a device has not enough: what each tenant is entitled to now, and who gives back
// what. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tessera::memory {

struct TenantMemory {
  uint64_t min_bytes = 0;               // never taken while others have more than they are entitled to
  uint64_t limit_bytes = ~uint64_t{0};  // never more than that
  uint32_t weight = 100;                // of its share of what no minimum takes
  uint64_t resident_bytes = 0;          // what it has on the device
  uint64_t fixed_bytes = 0;             // of that: what cannot go (contexts, code, exported memory)
  uint64_t wanted_bytes = 0;            // what it would use if there were enough
};

// What each tenant may have of `capacity` bytes: its minimum (or what it wants, if that is less), then by
// weights up to what it wants and may have. Where the minima alone are more than there is they are cut by
// their sizes. All shares together are no more than the capacity.
std::vector<uint64_t> fair_shares(std::span<const TenantMemory> tenants, uint64_t capacity);

// How much each gives back so that `needed` bytes become free in all: those furthest above their shares
// first, down to equal excess; then, if `needed` is more than all excess, everybody down to the minimum, by
// weights the lightest first. Less in all where not so much can go.
std::vector<uint64_t> plan_reclaim(std::span<const TenantMemory> tenants, uint64_t capacity, uint64_t needed);

}  // namespace tessera::memory
