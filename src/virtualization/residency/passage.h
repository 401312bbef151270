// Lets a process's calls touch memory of a device while all of it is there, and keeps them out meanwhile.
//
// A call is inside from before the driver takes it until it has; who closes waits until nobody is.
#pragma once

#include <atomic>
#include <cstdint>

namespace tessera::vgpu {

class Passage {
 public:
  Passage() = default;
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

  // False where it is closed; then the call is not inside.
  bool try_enter() {
    if ((state_.fetch_add(1, std::memory_order_acquire) & kClosed) == 0) [[likely]]
      return true;
    leave();
    return false;
  }
  void leave() {
    // The last one out of a closed passage wakes whoever closes it.
    if (state_.fetch_sub(1, std::memory_order_release) == (kClosed | 1)) [[unlikely]]
      wake();
  }

  bool is_closed() const { return (state_.load(std::memory_order_acquire) & kClosed) != 0; }
  // One closes at a time. Keeps further calls out, and waits until none is inside; after `patience_ns` it
  // opens again and returns false: some are.
  bool close(uint64_t patience_ns);
  void open() { state_.fetch_and(~kClosed, std::memory_order_release); }

 private:
  static constexpr uint32_t kClosed = uint32_t{1} << 31;

  void wake();

  std::atomic<uint32_t> state_{0};  // kClosed, and how many are inside
};

}  // namespace tessera::vgpu
