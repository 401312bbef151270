// What a process lets the others open: a table in memory that all see.
#pragma once

#include <sched.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>

namespace walk {

enum class OfferKind : uint8_t { kNone, kHandle, kPoolPointer };

struct Offer {
  OfferKind kind = OfferKind::kNone;
  uint64_t owner = 0;   // the process
  uint64_t serial = 0;  // of the memory: never another's
  uint64_t bytes = 0;   // charged
  std::array<char, 64> handle{};
};

class Offers {
 public:
  // False where the table is full.
  bool put(Offer offer, uint64_t* serial) {
    const Guard guard(busy_);
    for (Offer& slot : slots_) {
      if (slot.kind != OfferKind::kNone) continue;
      *serial = offer.serial = ++last_serial_;
      slot = offer;
      return true;
    }
    return false;
  }
  void withdraw(uint64_t serial) {
    const Guard guard(busy_);
    for (Offer& slot : slots_) {
      if (slot.serial == serial) slot.kind = OfferKind::kNone;
    }
  }
  // One of another process, by a number at will.
  std::optional<Offer> pick(OfferKind kind, uint64_t self, uint64_t number) {
    const Guard guard(busy_);
    for (size_t i = 0; i < slots_.size(); ++i) {
      const Offer& slot = slots_[(number + i) % slots_.size()];
      if (slot.kind == kind && slot.owner != self) return slot;
    }
    return std::nullopt;
  }

 private:
  class Guard {
   public:
    explicit Guard(std::atomic<bool>& busy) : busy_(busy) {
      while (busy_.exchange(true)) sched_yield();
    }
    ~Guard() { busy_ = false; }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    std::atomic<bool>& busy_;
  };

  std::atomic<bool> busy_{false};
  uint64_t last_serial_ = 0;
  std::array<Offer, 64> slots_;
};

}  // namespace walk
