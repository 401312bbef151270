#include "memory/reclaim/thrash_detector.h"

#include <algorithm>

namespace tessera::memory {
namespace {

constexpr double kKept = 0.75;  // of what was, with each turn

}  // namespace

uint32_t ThrashDetector::moving_percent() const {
  const double all = working_ + moving_;
  return all > 0 ? static_cast<uint32_t>(100 * moving_ / all) : 0;
}

void ThrashDetector::turn_ended(uint64_t working_ns, uint64_t moving_ns) {
  working_ = working_ * kKept + static_cast<double>(working_ns);
  moving_ = moving_ * kKept + static_cast<double>(moving_ns);
  // Short turns are short because the tenant had no more work: they say nothing of how long turns must be,
  // unless memory was moved for them.
  const double mean_moving = moving_ * (1 - kKept);
  const double enough = mean_moving * (100.0 - limits_.moving_percent) / limits_.moving_percent;
  const auto wanted = static_cast<uint64_t>(std::min(enough, static_cast<double>(limits_.longest_ns)));
  const uint64_t bounded = std::clamp(wanted, turn_ns_ / 2, turn_ns_ * 2);
  turn_ns_ = std::clamp(bounded, limits_.shortest_ns, limits_.longest_ns);
  thrashing_ = moving_percent() > limits_.moving_percent;
}

}  // namespace tessera::memory
