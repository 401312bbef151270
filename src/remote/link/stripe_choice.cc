#include "remote/link/stripe_choice.h"

#include <algorithm>

namespace tessera::remote {

void StripeChoice::bound(size_t most) {
  most_ = std::max<size_t>(most, 1);
  count_ = std::min(count_, most_);
  if (state_ != State::kBegin) state_ = State::kUsual;
}

// Up and down in turns; more first.
void StripeChoice::plan_trial() {
  const bool can_go_up = count_ * 2 <= most_ && rate_<kFastEnough, can_go_down = count_> 1;
  if (!can_go_up && !can_go_down) return;
  state_ = State::kTrial;
  trial_ = can_go_up && (goes_up_ || !can_go_down) ? count_ * 2 : count_ / 2;
  goes_up_ = trial_ < count_;
}

void StripeChoice::judge_trial() {
  state_ = State::kUsual;
  const bool is_up = trial_ > count_;
  if (trial_rate_ < rate_ * (is_up ? kWorthMore : kWorthFewer)) return;
  count_ = trial_;
  rate_ = trial_rate_;
  if (!is_up) return;
  // What pays twice may pay four times.
  goes_up_ = true;
  plan_trial();
}

void StripeChoice::report(uint64_t bytes, uint64_t nanoseconds) {
  if (bytes < kLeastBytes || nanoseconds == 0) return;
  const double rate = static_cast<double>(bytes) * 1e9 / static_cast<double>(nanoseconds);
  switch (state_) {
    case State::kBegin:
      state_ = State::kUsual;
      return;
    case State::kTrial:
      trial_rate_ = rate;
      state_ = State::kAfter;
      return;
    case State::kAfter:
      rate_ = std::max(rate_, rate);
      judge_trial();
      return;
    case State::kUsual:
      rate_ = rate_ == 0 ? rate : rate_ + (rate - rate_) / 4;
      if (--until_trial_ > 0) return;
      until_trial_ = kBetweenTrials;
      plan_trial();
  }
}

}  // namespace tessera::remote
