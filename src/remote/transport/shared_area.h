// Memory that both sides of a connection see, in slots: payloads are put there by the sender and used there
// by the receiver, who gives each slot back. Either side may be hostile: it can spoil what is in the slots,
// and keep them.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>

namespace tessera::remote {

inline constexpr uint32_t kAreaSlots = 32;
inline constexpr size_t kAreaSlotBytes = size_t{512} << 10;  // caches of a processor hold several
inline constexpr size_t kAreaBytes = kAreaSlots * kAreaSlotBytes;

// What lies in the shared memory beside the slots. All zeros: all slots are free.
struct AreaControl {
  alignas(
      64) std::atomic<uint32_t> used[kAreaSlots];  // 1: from when the sender takes it until it is given back
  alignas(64) std::atomic<uint32_t> given_back;    // counts
  alignas(64) std::atomic<uint32_t> sender_sleeps;
};
static_assert(sizeof(AreaControl) == 256);

// The slots of one direction, as one side has them. Safe from any thread.
class SharedArea {
 public:
  SharedArea(AreaControl* control, std::byte* slots) : control_(control), slots_(slots) {}

  std::span<std::byte> slot(uint32_t number) const {
    return {slots_ + number * kAreaSlotBytes, kAreaSlotBytes};
  }

  // Which one it is; nothing where it is none.
  std::optional<uint32_t> number_of(const std::byte* slot) const {
    const auto at = static_cast<uintptr_t>(slot - slots_);
    return at < kAreaBytes ? std::optional(static_cast<uint32_t>(at / kAreaSlotBytes)) : std::nullopt;
  }

  // --- the sender: a free slot, which is waited for; nothing after `limit`.
  std::optional<uint32_t> take(std::chrono::nanoseconds limit);
  // --- the receiver: it is not looked at any more. And the sender, where it has told nobody of it.
  void give_back(uint32_t number);

 private:
  std::optional<uint32_t> take_free();

  AreaControl* const control_;
  std::byte* const slots_;
  std::mutex taking_;
};

}  // namespace tessera::remote
