// Host memory that copies to and from the device pass through: a ring that is given out in order, and given
// out again once the device has read it or the link has taken it.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <span>

#include "cuda/driver_table.h"

namespace tessera::remote {

// Used by whoever leads, or holds its lock.
class Staging {
 public:
  static constexpr uint64_t kRingBytes = 16 << 20;

  explicit Staging(const cuda::DriverTable& driver) : driver_(driver) {}
  ~Staging();

  // Memory of `bytes` (at most kPieceBytes, wire/copy.h) that nothing uses any more; waits for copies on
  // their way. Empty where there is no memory.
  std::span<std::byte> take(uint64_t bytes);
  // What was taken last is used by work of `stream` until all that is in it now is done.
  CUresult used_by(CUstream stream);
  void context_is_gone();

 private:
  struct Fence {
    uint64_t end;  // position in the ring, counted on
    CUevent event;
  };

  bool make();
  void wait_for(uint64_t position);

  const cuda::DriverTable& driver_;
  std::byte* ring_ = nullptr;
  uint64_t taken_ = 0;       // positions only grow; the place is the rest by kRingBytes
  uint64_t free_until_ = 0;  // everything before it can be used again
  std::deque<Fence> fences_;
};

}  // namespace tessera::remote
