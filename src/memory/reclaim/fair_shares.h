// What each tenant is entitled to of a device that has not enough for all. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tessera::memory {

struct TenantMemory {
  uint64_t min_bytes = 0;     // guaranteed
  uint32_t weight = 100;      // of its share of what no minimum takes
  uint64_t wanted_bytes = 0;  // what it would use if there were enough
};

// What each tenant may have of `capacity` bytes: its minimum (or what it wants, if that is less), then by
// weights up to what it wants. Where the minima alone are more than there is they are cut by their sizes. All
// shares together are no more than the capacity.
std::vector<uint64_t> fair_shares(std::span<const TenantMemory> tenants, uint64_t capacity);

}  // namespace tessera::memory
