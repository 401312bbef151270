#include "scheduling/co_execution.h"

#include <algorithm>
#include <cassert>

namespace tessera::scheduling {
namespace {

constexpr uint64_t kThousandths = 1000;
// The average of work that always is one block: clocks of two moments may differ a little.
constexpr uint64_t kOneSm = 1020;
constexpr uint32_t kSpareDivisor = 4;
constexpr uint32_t kLengthMeanOver = 4;  // windows, roughly

uint32_t sms_needed(uint64_t ready_ns, uint64_t ready_sm_ns) {
  const uint64_t mean = scaled(ready_sm_ns, kThousandths, ready_ns);
  if (mean <= kOneSm) return 1;
  const uint64_t with_spare = mean + mean / kSpareDivisor;
  return static_cast<uint32_t>((with_spare + kThousandths - 1) / kThousandths);
}

}  // namespace

void CoExecution::add(TenantId id) {
  if (id >= states_.size()) states_.resize(id + 1);
  states_[id] = State{};
  changed_ = true;
}

bool CoExecution::take_changed(Nanoseconds now) {
  if (!changed_ && now < first_back_ns_) return false;
  changed_ = false;
  first_back_ns_ = kNever;
  for (const State& state : states_) {
    if (now < state.alone_until_ns) first_back_ns_ = std::min(first_back_ns_, state.alone_until_ns);
  }
  return true;
}

void CoExecution::set_company(TenantId id, bool company) {
  State& state = states_[id];
  if (state.company == company) return;
  state.company = company;
  state.company_changed = true;
  state.harmed = 0;
}

void CoExecution::measured(TenantId id, const Work& work, Nanoseconds now) {
  assert(id < states_.size());
  note_width(states_[id], work);
  note_lengths(states_[id], work, now);
}

void CoExecution::note_width(State& state, const Work& work) {
  state.ready_ns += work.ready_ns;
  state.ready_sm_ns += std::min(work.ready_sm_ns, work.ready_ns * kMostSms);
  if (state.ready_ns < kWindowNs) return;
  const uint32_t needed = sms_needed(state.ready_ns, state.ready_sm_ns);
  state.ready_ns = state.ready_sm_ns = 0;
  changed_ |= state.windows < kWindowsToKnow;
  state.windows = std::min(state.windows + 1, kWindowsToKnow);
  if (needed >= state.sms) {
    changed_ |= needed != state.sms;
    state.sms = needed;
    state.shrinking = state.shrinks_to = 0;
    return;
  }
  state.shrinks_to = std::max(state.shrinks_to, needed);
  if (++state.shrinking < kWindowsToShrink) return;
  changed_ = true;
  state.sms = state.shrinks_to;
  state.shrinking = state.shrinks_to = 0;
}

void CoExecution::note_lengths(State& state, const Work& work, Nanoseconds now) {
  if (state.company_changed) {
    state.company_changed = false;
    state.lengths = {};
    return;
  }
  state.lengths.busy_ns += work.busy_ns;
  state.lengths.kernels += work.kernels;
  if (state.lengths.kernels < kWindowKernels || state.lengths.busy_ns < kWindowNs) return;
  const Nanoseconds length_ns = state.lengths.busy_ns / state.lengths.kernels;
  if (state.company) {
    state.unharmed_ns += state.lengths.busy_ns;
    judge(state, length_ns, now);
  } else {
    changed_ |= state.alone_ns == 0;
    state.alone_ns = state.alone_ns == 0
                         ? length_ns
                         : (state.alone_ns * (kLengthMeanOver - 1) + length_ns) / kLengthMeanOver;
  }
  state.lengths = {};
}

void CoExecution::judge(State& state, Nanoseconds length_ns, Nanoseconds now) {
  const bool longer = length_ns > scaled(state.alone_ns, kWhole + kHarmPermille, kWhole);
  state.harmed = longer ? state.harmed + 1 : 0;
  if (state.harmed >= 2) {
    state.harmed = 0;
    state.unharmed_ns = 0;
    state.alone_until_ns = now + state.back_off_ns;
    changed_ = true;
    state.back_off_ns = std::min(state.back_off_ns * 2, kLongestBackOffNs);
  } else if (state.unharmed_ns >= state.back_off_ns) {
    state.unharmed_ns = 0;
    state.back_off_ns = std::max(state.back_off_ns / 2, kFirstBackOffNs);
  }
}

uint32_t CoExecution::sms(TenantId id, uint32_t all, Nanoseconds now) const {
  const State& state = states_[id];
  const bool known = state.windows >= kWindowsToKnow && state.alone_ns != 0;
  return known && !backs_off(id, now) ? std::min(state.sms, all) : all;
}

}  // namespace tessera::scheduling
