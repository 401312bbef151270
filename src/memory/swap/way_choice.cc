#include "memory/swap/way_choice.h"

#include <algorithm>

namespace tessera::memory {
namespace {

constexpr double kNew = 0.25;  // of a speed, what the last batch makes
constexpr uint32_t kSeldom = 10;
constexpr const char* kNames[] = {"auto", "always", "never"};

}  // namespace

const char* neighbour_use_name(NeighbourUse use) { return kNames[static_cast<size_t>(use)]; }

std::optional<NeighbourUse> parse_neighbour_use(std::string_view name) {
  for (const NeighbourUse use : {NeighbourUse::kAuto, NeighbourUse::kAlways, NeighbourUse::kNever})
    if (name == neighbour_use_name(use)) return use;
  return std::nullopt;
}

void WayChoice::moved(Speeds& speeds, PageWay way, uint64_t bytes, uint64_t ns) {
  if (bytes < kLeastBytes) return;
  double& known = speeds[static_cast<size_t>(way)].ns_per_byte;
  const double now = static_cast<double>(std::max<uint64_t>(ns, 1)) / static_cast<double>(bytes);
  known = known == 0 ? now : known + kNew * (now - known);
}

// A way back that nothing has come yet is taken for as fast as the way there.
std::optional<double> WayChoice::ns_per_byte(PageWay way) const {
  const double out = out_[static_cast<size_t>(way)].ns_per_byte,
               in = in_[static_cast<size_t>(way)].ns_per_byte;
  if (out == 0) return std::nullopt;
  return out + (in == 0 ? out : in);
}

PageWay WayChoice::next() {
  if (use_ != NeighbourUse::kAuto)
    return use_ == NeighbourUse::kAlways ? PageWay::kNeighbour : PageWay::kHost;
  ++batches_;
  const std::optional<double> neighbour = ns_per_byte(PageWay::kNeighbour),
                              host = ns_per_byte(PageWay::kHost);
  if (!neighbour) return PageWay::kNeighbour;
  if (!host) return PageWay::kHost;
  const bool is_worth_it = *neighbour < kWorthIt * *host;
  const PageWay best = is_worth_it ? PageWay::kNeighbour : PageWay::kHost;
  const PageWay other = is_worth_it ? PageWay::kHost : PageWay::kNeighbour;
  const bool is_hopeless = *ns_per_byte(other) > kHopeless * *ns_per_byte(best);
  return batches_ % (is_hopeless ? kSeldom * kTryEvery : kTryEvery) == 0 ? other : best;
}

}  // namespace tessera::memory
