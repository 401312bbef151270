// Whose memory is on a GPU where slices hold more than fits. Pure: tenants in, who gives way out.
//
// The unit is a process: whatever it holds must be on the GPU before its kernels run, as NVIDIA's driver
// reports no access to a page. So processes that do not fit together are on the GPU in turns, which are long:
// a turn costs the copies of what is missing out and in, and is to be many times as long as that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace tessera::partitioning {

// A turn is so many times as long as its copies take: what they cost is a tenth or less.
inline constexpr uint64_t kTurnsPerSwap = 9;
inline constexpr uint64_t kShortestResidenceNs = 100'000'000;
// Every process that wants to has been on the GPU within this time, whatever its copies cost.
inline constexpr uint64_t kResidenceRoundNs = 24'000'000'000;

// How long whoever came onto the GPU last stays there before others may ask for `missing_bytes` of it, where
// copying a byte out (or in) takes `ns_per_byte` and `tenants` want to be on the GPU.
uint64_t residence_ns(uint64_t missing_bytes, double ns_per_byte, size_t tenants);

struct ResidentTenant {
  uint64_t resident_bytes = 0;
  uint64_t since_ns = 0;       // that all of it is; meaningless while that is not so
  bool out = false;            // not all of it is on the GPU: nothing of it runs
  bool can_be_asked = true;    // it is connected, and nothing was asked of it that it has not answered
  uint64_t not_before_ns = 0;  // it could not give anything a moment ago
};

struct Victim {
  size_t index;
  uint64_t bytes;  // that it can give
};
// Of those that may be asked at `now_ns`, where each stays for `stay_ns`: first who is out already,
// then who has been there longest. None: nobody may be asked yet.
std::optional<Victim> choose_victim(std::span<const ResidentTenant> tenants, uint64_t stay_ns,
                                    uint64_t now_ns);
// When choose_victim() may answer otherwise, while nothing else happens; none: only then.
std::optional<uint64_t> next_choice_ns(std::span<const ResidentTenant> tenants, uint64_t stay_ns,
                                       uint64_t now_ns);

}  // namespace tessera::partitioning
