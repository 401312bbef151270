#include "memory/reclaim/thrash_detector.h"

#include <algorithm>

namespace tessera::memory {
namespace {

constexpr double kKept = 0.75;  // of what was, with each turn
constexpr double kPercent = 100;

}  // namespace

uint32_t ThrashDetector::moving_percent() const {
  const double all = working_ + moving_;
  return all > 0 ? static_cast<uint32_t>(kPercent * moving_ / all) : 0;
}

bool ThrashDetector::would_thrash(uint64_t turn_ns) const {
  const double all = mean_moving() + static_cast<double>(turn_ns);
  return kPercent * mean_moving() > limits_.thrash_percent * all;
}

// Once it has backed off it does until the bound would do: or it would begin and end all the time. And not
// only for a moment: the bound is long while few ask, as when programs come back one by one to a daemon that
// was started anew.
void ThrashDetector::turn_ended(uint64_t working_ns, uint64_t moving_ns, uint64_t bound_ns) {
  working_ = working_ * kKept + static_cast<double>(working_ns);
  moving_ = moving_ * kKept + static_cast<double>(moving_ns);
  turns_ = turns_ * kKept + 1;
  calm_turns_ = thrashing() || would_thrash(bound_ns) ? 0 : calm_turns_ + 1;
  if (thrashing()) backs_off_ = true;
  if (calm_turns_ >= limits_.calm_turns) backs_off_ = false;
}

ThrashDetector::State ThrashDetector::state() const {
  if (turns_ == 0) return {};
  return {static_cast<uint64_t>(working_ / turns_), static_cast<uint64_t>(moving_ / turns_), backs_off_};
}

void ThrashDetector::restore(const State& state) {
  turns_ = state.moving_ns == 0 ? 0 : 1 / (1 - kKept);  // as after many such turns
  working_ = turns_ * static_cast<double>(state.working_ns);
  moving_ = turns_ * static_cast<double>(state.moving_ns);
  backs_off_ = state.backs_off;
}

uint64_t ThrashDetector::turn_ns(uint64_t bound_ns, uint64_t most_ns, uint64_t move_ns) const {
  const double moving = std::max(turns_ > 0 ? mean_moving() : 0, static_cast<double>(move_ns));
  const double wanted = moving * (kPercent - limits_.wanted_percent) / limits_.wanted_percent;
  const uint64_t longest = backs_off_ ? std::max(bound_ns, most_ns) : bound_ns;
  const auto turn = static_cast<uint64_t>(std::min(wanted, static_cast<double>(longest)));
  return std::max(turn, limits_.shortest_ns);
}

}  // namespace tessera::memory
