#include "remote/link/stripe_choice.h"

#include <algorithm>

namespace tessera::remote {

void StripeChoice::bound(size_t most) {
  most_ = std::max<size_t>(most, 1);
  count_ = std::min(count_, most_);
  is_trial_ = false;
}

// Up and down in turns; more first.
void StripeChoice::plan_trial() {
  const bool can_go_up = count_ * 2 <= most_ && rate_<kFastEnough, can_go_down = count_> 1;
  if (!can_go_up && !can_go_down) return;
  is_trial_ = true;
  trial_ = can_go_up && (goes_up_ || !can_go_down) ? count_ * 2 : count_ / 2;
  goes_up_ = trial_ < count_;
}

void StripeChoice::report(uint64_t bytes, uint64_t nanoseconds) {
  if (bytes < kLeastBytes || nanoseconds == 0) return;
  const double rate = static_cast<double>(bytes) * 1e9 / static_cast<double>(nanoseconds);
  if (!is_trial_) {
    rate_ = rate_ == 0 ? rate : rate_ + (rate - rate_) / 4;
    if (--until_trial_ > 0) return;
    until_trial_ = kBetweenTrials;
    plan_trial();
    return;
  }
  is_trial_ = false;
  const bool is_up = trial_ > count_;
  if (rate < rate_ * (is_up ? kWorthMore : kWorthFewer)) return;
  count_ = trial_;
  rate_ = rate;
  if (!is_up) return;
  // What pays twice may pay four times.
  goes_up_ = true;
  until_trial_ = 1;
}

}  // namespace tessera::remote
