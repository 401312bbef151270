// Whose memory is on a GPU where slices hold more than fits. Pure: tenants in, who gives way out.
//
// The unit is a process: whatever it holds must be on the GPU before its kernels run, as NVIDIA's driver
// reports no access to a page. So processes that do not fit together are on the GPU in turns, which are long:
// a turn costs the copies of what is missing out and in, and is to be many times as long as that
// (memory/reclaim/thrash_detector.h says how long).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tessera::partitioning {

// Every process that wants to has been on the GPU within this time, where its copies leave time for work.
inline constexpr uint64_t kResidenceRoundNs = 24'000'000'000;

enum class Presence : uint8_t {
  kIn,         // all that it has is on the GPU
  kOut,        // not all of it is: nothing of it runs
  kReturning,  // it is being brought back
};

struct ResidentTenant {
  uint64_t resident_bytes = 0;
  uint64_t out_bytes = 0;       // off the GPU, as the process says
  uint64_t promised_bytes = 0;  // its slice's limit: it may grow to that
  uint64_t stuck_bytes = 0;     // of what is resident, it could not give this much when it was last asked
  Presence presence = Presence::kIn;
  uint64_t since_ns = 0;       // of that
  bool wants = false;          // it is out, and waits to be brought back
  bool blocked = false;        // it waits for more memory: its turn is of no use to it
  bool can_be_asked = true;    // it is connected, and nothing was asked of it that it has not answered
  uint64_t not_before_ns = 0;  // it could not give what was asked for a moment ago

  uint64_t size() const { return std::max(resident_bytes + out_bytes, promised_bytes); }
};

// How long a turn may be at most, so that everybody has been on the GPU within `round_ns`: as many as fit at
// a time take turns with the rest. Never longer than that; no bound where all fit.
uint64_t longest_turn_ns(std::span<const ResidentTenant> tenants, uint64_t capacity, uint64_t round_ns);

struct Victim {
  size_t index;
  uint64_t bytes;  // to be asked for
};
// Who gives `bytes`, of those that may be asked at `now_ns` where each turn lasts `turn_ns`. First who is
// out already: those that do not want to come back, then those whose turns are furthest away, who went last.
// Then who is blocked, those first that came last, and then who is in and has been for longest. What is stuck
// is asked for where nothing else is left, of each in its turn. Empty where all of them together have not so
// much.
std::vector<Victim> choose_victims(std::span<const ResidentTenant> tenants, uint64_t bytes, uint64_t turn_ns,
                                   uint64_t now_ns);
// When choose_victims() may answer otherwise, while nothing else happens; none: only then.
std::optional<uint64_t> next_choice_ns(std::span<const ResidentTenant> tenants, uint64_t turn_ns,
                                       uint64_t now_ns);

}  // namespace tessera::partitioning
