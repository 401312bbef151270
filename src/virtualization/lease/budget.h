// What one process may charge on one device, and has charged. Pure bookkeeping; the caller holds a lock.
//
// Invariant: used + claimed <= granted. The daemon keeps the sum of all processes' `granted` within the
// slice's limit, so the sum of all charges never exceeds it either.
#pragma once

#include <cstdint>

namespace tessera::vgpu {

class Budget {
 public:
  // A charge that needs more than is at hand: the part at hand is set aside for it, so that nobody takes it
  // while the rest is asked for.
  struct Claim {
    uint64_t set_aside;
    uint64_t needed;  // to be asked for
    uint64_t wanted;  // needed, and a chunk ahead
  };

  explicit Budget(uint64_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  uint64_t used() const { return used_; }
  uint64_t granted() const { return granted_; }
  uint64_t available() const { return granted_ - used_ - claimed_; }

  // Charges `bytes` if they are at hand.
  bool charge(uint64_t bytes);

  // For bytes > available(). Every claim ends in exactly one settle() or abandon().
  Claim claim(uint64_t bytes);
  // The daemon granted `granted` bytes, at least claim.needed: they are charged, the rest is at hand.
  void settle(const Claim& claim, uint64_t granted);
  void abandon(const Claim& claim);

  // What the daemon granted is charged whole, and nothing of it is at hand.
  void take(uint64_t granted);

  // Takes a charge back. Returns how much is to be given back to the daemon: nothing until two chunks are at
  // hand, then all but one, so that a program that frees and allocates in turn asks for nothing.
  uint64_t credit(uint64_t bytes);

  // Another process of the slice needs budget: what of `bytes` is at hand is given back.
  uint64_t recall(uint64_t bytes);
  // Takes a charge back and gives it back whole.
  void give_up(uint64_t bytes);

 private:
  uint64_t chunk_bytes_;
  uint64_t granted_ = 0;
  uint64_t used_ = 0;
  uint64_t claimed_ = 0;
};

}  // namespace tessera::vgpu
