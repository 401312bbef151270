// Which of two ways pages take that leave a device: to the memory of a neighbouring device, or to the host's.
// Pure: what copies took is told to it.
//
// What counts is the time that a page needs to be away and back. Neither way is known until something went
// it, and both change with what else goes there; so each batch goes the way that was faster of late, and now
// and then one goes the other.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tessera::memory {

enum class PageWay : uint8_t { kNeighbour, kHost };
inline constexpr size_t kPageWays = 2;

// What is asked for: by what was measured, whatever that says, or no neighbour at all.
enum class NeighbourUse : uint8_t { kAuto, kAlways, kNever };
const char* neighbour_use_name(NeighbourUse use);
std::optional<NeighbourUse> parse_neighbour_use(std::string_view name);

class WayChoice {
 public:
  explicit WayChoice(NeighbourUse use = NeighbourUse::kAuto) : use_(use) {}

  // Of less nothing is learnt: calls take most of its time.
  static constexpr uint64_t kLeastBytes = uint64_t{4} << 20;
  // Of so many batches one goes the way that seems the slower one, unless that is hopeless.
  static constexpr uint32_t kTryEvery = 32;
  static constexpr double kHopeless = 4;  // times the other; such a way is tried ten times as seldom
  // A neighbour's memory may be wanted back, and is another's to give: it has to be worth it.
  static constexpr double kWorthIt = 0.9;  // of the host's time

  // For the next batch. Told once for each.
  PageWay next();
  void moved_out(PageWay way, uint64_t bytes, uint64_t ns) { moved(out_, way, bytes, ns); }
  void moved_in(PageWay way, uint64_t bytes, uint64_t ns) { moved(in_, way, bytes, ns); }
  // Out and in together; nothing while it is not known.
  std::optional<double> ns_per_byte(PageWay way) const;

 private:
  struct Speed {
    double ns_per_byte = 0;  // 0: not known
  };
  using Speeds = std::array<Speed, kPageWays>;
  static void moved(Speeds& speeds, PageWay way, uint64_t bytes, uint64_t ns);

  const NeighbourUse use_;
  Speeds out_, in_;
  uint32_t batches_ = 0;
};

}  // namespace tessera::memory
