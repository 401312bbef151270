// A clock that stands while the process is suspended on a device. Read by any thread; told by one at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace tessera::softgpu {

class RunClock {
 public:
  // Of a moment of the monotonic clock; never 0.
  uint64_t at(uint64_t now_ns) const {
    const uint64_t stands_at = stands_at_.load(std::memory_order_acquire);
    return stands_at != 0 ? stands_at
                          : std::max<uint64_t>(now_ns - stood_ns_.load(std::memory_order_acquire), 1);
  }
  void stop(uint64_t now_ns) {
    if (stands_at_.load(std::memory_order_relaxed) == 0)
      stands_at_.store(at(now_ns), std::memory_order_release);
  }
  void go_on(uint64_t now_ns) {
    const uint64_t stands_at = stands_at_.load(std::memory_order_relaxed);
    if (stands_at == 0) return;
    stood_ns_.store(now_ns - stands_at, std::memory_order_release);
    stands_at_.store(0, std::memory_order_release);
  }

 private:
  std::atomic<uint64_t> stands_at_{0};  // 0: it goes
  std::atomic<uint64_t> stood_ns_{0};   // so far
};

}  // namespace tessera::softgpu
