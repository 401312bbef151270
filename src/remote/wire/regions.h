// Where memory lies that a server places by itself (worker/placed_memory.h): each server of a client has
// addresses of its own, so that an address says whose it is. They are far from what kernels give out to
// programs: above the shadow of sanitizers, below the program's pinned memory.
#pragma once

#include <cstdint>

#include "remote/wire/handle_id.h"

namespace tessera::remote {

inline constexpr uint64_t kRegionsBegin = uint64_t{17} << 40;
inline constexpr uint64_t kDeviceRegionBytes = uint64_t{192} << 30;
inline constexpr unsigned kDevicesInRegion = 16;
inline constexpr uint64_t kRegionBytes = kDevicesInRegion * kDeviceRegionBytes;

constexpr uint64_t region_of(unsigned server) { return kRegionsBegin + server * kRegionBytes; }
// How many spans of addresses a request for managed memory may name that the program has something else at.
inline constexpr uint64_t kMostTakenSpans = 16;

// Whether a client may wish for it.
constexpr bool is_region(uint64_t begin) {
  return begin >= kRegionsBegin && begin < region_of(kMostServers) &&
         (begin - kRegionsBegin) % kRegionBytes == 0;
}

}  // namespace tessera::remote
