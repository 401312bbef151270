// Whose memory is on a GPU where slices hold more than fits. Pure: tenants in, who gives way out.
//
// The unit is a process: whatever it holds must be on the GPU before its kernels run, as NVIDIA's driver
// reports no access to a page. So processes that do not fit together are on the GPU in turns, which are long:
// a turn costs the copies of what is missing out and in, and is to be many times as long as that
// (memory/reclaim/thrash_detector.h says how long).
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace tessera::partitioning {

// What a slice is promised of a GPU's memory beside its limit, where limits together are more than that has.
struct MemoryTerms {
  static constexpr uint32_t kDefaultWeight = 100, kMostWeight = 10'000;

  uint64_t min_bytes = 0;            // stays on the GPU whoever else needs it
  uint32_t weight = kDefaultWeight;  // how much it has, and how long its turns are, against others
  // Of copies between the host and the GPU, each way, bytes a second: what it has as far as it wants it, and
  // the most that it may have; 0: nothing, and no bound.
  static constexpr uint64_t kLeastCopyRate = 1 << 20;
  uint64_t copy_min = 0, copy_max = 0;

  bool shares_copies() const { return weight != kDefaultWeight || copy_min != 0; }

  bool operator==(const MemoryTerms&) const = default;
};

// Every process that wants to has been on the GPU within this time, where its copies leave time for work.
// Where a shorter one was wished for, and moving takes too much of it, it may be as long as the second.
inline constexpr uint64_t kResidenceRoundNs = 26'000'000'000, kMostResidenceRoundNs = 28'000'000'000;

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
  uint64_t since_ns = 0;      // of that
  uint64_t prolonged_ns = 0;  // of its turn: it was blocked in it
  bool wants = false;         // it is out, and waits to be brought back
  bool blocked = false;       // it waits for more memory: its turn is of no use to it
  // Since when one of these; never: it does not wait.
  uint64_t waits_since_ns = std::numeric_limits<uint64_t>::max();
  bool can_be_asked = true;    // it is connected, and nothing was asked of it that it has not answered
  uint64_t not_before_ns = 0;  // it could not give what was asked for a moment ago
  uint64_t min_bytes = 0;      // of its slice's minimum, as much as is its own
  uint32_t weight = MemoryTerms::kDefaultWeight;  // as much as is its own
  bool within_share = false;  // it has no more than it is entitled to while all want what they have

  uint64_t size() const { return std::max(resident_bytes + out_bytes, promised_bytes); }
  bool waits_outside() const { return presence == Presence::kOut && (wants || blocked); }
  bool takes_part() const { return presence != Presence::kOut || wants || blocked; }
};

// Fills in who is within its share (memory/reclaim/fair_shares.h) of the capacity.
void mark_shares(std::span<ResidentTenant> tenants, uint64_t capacity);

// How long turns are to be. They end sooner once somebody has waited for `wait_ns`, but not before they have
// lasted for `least_ns`.
struct TurnRules {
  uint64_t turn_ns = 0;
  uint64_t least_ns = 0;
  uint64_t wait_ns = std::numeric_limits<uint64_t>::max();
};

// How long each tenant's turn is: by its weight against those of all that take part, so that together they
// last as long.
class TurnLengths {
 public:
  TurnLengths(std::span<const ResidentTenant> tenants, const TurnRules& rules);

  uint64_t end_ns(const ResidentTenant& tenant) const;  // of a turn that began when it came in

 private:
  const TurnRules rules_;
  uint64_t tenants_ = 0, weights_ = 0;
  uint64_t latest_end_ns_ = std::numeric_limits<uint64_t>::max();
};

// How long turns may be, so that everybody has been on the GPU within `round_ns`: as many as fit at a time
// take turns with the rest, and memory moves for `move_ns` before each turn. Where moving would leave
// less than half of the time to work, a turn is as long as a move, and the round longer. No bound where all
// fit.
uint64_t longest_turn_ns(std::span<const ResidentTenant> tenants, uint64_t capacity, uint64_t round_ns,
                         uint64_t move_ns);
// What has to move for a turn, at most.
uint64_t exchanged_bytes(std::span<const ResidentTenant> tenants, uint64_t capacity);

// Where somebody stands among those that want memory of a GPU: the least goes first. Who is being brought
// back ends that; then whose turn it is, those first that came first; then who waits, by how long. Nobody who
// waits gives anything to somebody behind him: else those that wait would take the GPU from each other, and
// none of them would get on.
struct PlaceInLine {
  enum class Part : uint8_t { kReturns, kHasTurn, kWaits };
  Part part;
  uint64_t since_ns;

  // NOLINTNEXTLINE(modernize-use-nullptr): comparisons are made of it with a literal 0
  auto operator<=>(const PlaceInLine&) const = default;
};
PlaceInLine place_in_line(const ResidentTenant& tenant, const TurnLengths& turns, uint64_t now_ns);

struct Victim {
  size_t index;
  uint64_t bytes;  // to be asked for
};
struct Need {
  uint64_t least = 0;
  uint64_t most = 0;               // as far as nobody who works has to go for it
  std::optional<size_t> who = {};  // of the tenants; none: somebody whom all make room for
};
// Who gives what is needed, of those that may be asked at `now_ns`. First who is out and does not want to
// come back. Then those that work and have to go, as it cannot be had without them: as few as suffice, first
// whose turns have been over for longest. Of all that take turns theirs are furthest away now, so what those
// that wait have on the GPU stays for them (Belady's rule, of a cycle). Then who waits outside, who went last
// first, and who is blocked, those first that came last. Who works with no more than its share is left alone
// as long as the others have enough, be it that their turns last a while yet. Nobody gives of his minimum.
// What is stuck is asked for where nothing else is left, of each in its turn. Empty where all of them
// together have less than the least.
std::vector<Victim> choose_victims(std::span<const ResidentTenant> tenants, const Need& need,
                                   const TurnRules& rules, uint64_t now_ns);
// Whom to ask for what it has and does not use, where nobody can give what is needed: those that work. It
// costs them nothing but to ask for it again.
std::vector<size_t> choose_to_shrink(std::span<const ResidentTenant> tenants, std::optional<size_t> who);
// When choose_victims() may answer otherwise, while nothing else happens; none: only then.
std::optional<uint64_t> next_choice_ns(std::span<const ResidentTenant> tenants, const TurnRules& rules,
                                       uint64_t now_ns);

}  // namespace tessera::partitioning
