#include "remote/transport/shared_area.h"

#include <algorithm>

#include "common/clock.h"
#include "common/futex.h"
#include "remote/transport/spinner.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kSpinNs = 20'000;
constexpr uint64_t kLongestSleepNs = 10'000'000;  // a receiver that forgets to wake us costs no more

}  // namespace

std::optional<uint32_t> SharedArea::take_free() {
  std::lock_guard lock(taking_);
  // The first that is free: it was used last, and is in processors' caches.
  for (uint32_t number = 0; number < kAreaSlots; ++number) {
    if (control_->used[number].load(std::memory_order_acquire) != 0) continue;
    control_->used[number].store(1, std::memory_order_relaxed);
    return number;
  }
  return std::nullopt;
}

std::optional<uint32_t> SharedArea::take(std::chrono::nanoseconds limit) {
  if (const auto free = take_free()) return free;
  const uint64_t started_ns = monotonic_ns(), end_ns = started_ns + static_cast<uint64_t>(limit.count());
  const uint64_t spin_end_ns = may_spin() ? started_ns + kSpinNs : started_ns;
  for (;;) {
    const uint64_t now_ns = monotonic_ns();
    if (now_ns >= end_ns) return take_free();
    const uint32_t seen = control_->given_back.load(std::memory_order_acquire);
    if (now_ns >= spin_end_ns) control_->sender_sleeps.store(1, std::memory_order_seq_cst);
    if (const auto free = take_free()) return free;
    if (now_ns < spin_end_ns) {
      relax_processor();
    } else {
      wait_for_change(control_->given_back, seen, std::min(end_ns - now_ns, kLongestSleepNs));
    }
  }
}

void SharedArea::give_back(uint32_t number) {
  control_->used[number].store(0, std::memory_order_release);
  control_->given_back.fetch_add(1, std::memory_order_seq_cst);
  if (control_->sender_sleeps.exchange(0, std::memory_order_seq_cst) != 0) wake_all(control_->given_back);
}

}  // namespace tessera::remote
