// Memory that payloads of answers are sent from: slots of what both sides see, or pieces of our own, which
// are used again once the link needs them no more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "cuda/driver_table.h"
#include "remote/link/link.h"

namespace tessera::remote {

class PiecesOut {
 public:
  static constexpr size_t kPieces = 16;

  explicit PiecesOut(const cuda::DriverTable& driver) : driver_(driver) {}
  ~PiecesOut();

  // One payload at a time.
  std::unique_lock<std::mutex> turn() { return std::unique_lock(turn_); }
  // The next piece, or null where there is no memory or the link is over.
  std::byte* take(Link& link);
  // It is not sent after all.
  void drop(Link& link, const std::byte* piece);
  // The link has it, up to that offset of its stream.
  void sent(const std::byte* piece, uint64_t offset);

 private:
  bool make();

  const cuda::DriverTable& driver_;
  std::mutex turn_;
  std::byte* memory_ = nullptr;
  uint64_t offsets_[kPieces] = {};
  size_t next_ = 0;
};

}  // namespace tessera::remote
