#include "memory/reclaim/working_set.h"

#include <algorithm>

namespace tessera::memory {

void WorkingSet::step() {
  current_ = (current_ + 1) % most_.size();
  most_[current_] = bytes_;
  const uint64_t most = *std::max_element(most_.begin(), most_.end());
  need_ = std::max(most, need_ - need_ / kSteps - (need_ % kSteps == 0 ? 0 : 1));
}

void WorkingSet::saw(uint64_t most_bytes, uint64_t bytes, uint64_t now_ns) {
  if (!step_began_ns_) step_began_ns_ = now_ns;
  // What was not looked at for very long has had what it had: more steps would change nothing.
  constexpr uint64_t kMostSteps = 1024;
  const uint64_t steps = (now_ns - std::min(now_ns, *step_began_ns_)) / step_ns_;
  for (uint64_t i = 0; i < std::min(steps, kMostSteps); ++i) step();
  *step_began_ns_ += steps * step_ns_;
  watched_ns_ += steps * step_ns_;
  is_known_ |= watched_ns_ >= kSteps * step_ns_;
  bytes_ = bytes;
  most_[current_] = std::max({most_[current_], most_bytes, bytes});
  need_ = std::max(need_, most_[current_]);
}

std::optional<uint64_t> WorkingSet::need_bytes() const {
  return is_known_ ? std::optional(need_) : std::nullopt;
}

void WorkingSet::restore(uint64_t need_bytes) {
  need_ = need_bytes;
  is_known_ = true;
}

}  // namespace tessera::memory
