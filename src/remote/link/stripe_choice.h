// Over how many connections large payloads go: as many as have shown to carry more than fewer do. Pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::remote {

class StripeChoice {
 public:
  static constexpr uint64_t kLeastBytes = 8 << 20;  // smaller payloads tell nothing, and go over one
  // Where one carries so much a second, several only cost.
  static constexpr double kFastEnough = 500e6;

  explicit StripeChoice(size_t most = 1) : most_(most) {}

  // For the next payload: 1, the session's own, or so many further ones.
  size_t count() const { return state_ == State::kTrial ? trial_ : count_; }
  // A payload of kLeastBytes or more has gone over count() of them.
  void report(uint64_t bytes, uint64_t nanoseconds);
  // There are no more than that.
  void bound(size_t most);

 private:
  enum class State : uint8_t {
    kBegin,  // the first payload: what took time is memory that was never touched, and a window that opens
    kUsual,
    kTrial,
    kAfter,  // as before the trial: whether it was the number that made the difference
  };
  static constexpr double kWorthMore = 1.2;       // for twice as many
  static constexpr double kWorthFewer = 0.95;     // for half of them
  static constexpr uint32_t kBetweenTrials = 32;  // payloads

  void plan_trial();
  void judge_trial();

  size_t most_;
  size_t count_ = 1, trial_ = 1;
  State state_ = State::kBegin;
  bool goes_up_ = true;
  double rate_ = 0, trial_rate_ = 0;  // of count_ and trial_
  uint32_t until_trial_ = 1;
};

}  // namespace tessera::remote
