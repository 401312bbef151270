// What goes over a link for the pieces of large payloads: they are compressed where that gets them there
// sooner, by what the link has carried and what encodings of such bytes have cost. One payload at a time.
#pragma once

#include <atomic>
#include <vector>

#include "common/bytes.h"
#include "memory/codec/adaptive_codec.h"
#include "remote/link/send_rate.h"

namespace tessera::remote {

class PieceEncoder {
 public:
  // On a faster way no encoding is worth a look.
  static constexpr double kFasterThanEncodings = 1.5e9;

  PieceEncoder();

  // Where it never pays: memory that both sides share.
  void give_up() { is_given_up_ = true; }
  void begin() { rate_.begin(); }
  // A stored page of memory/codec, valid until the next call; empty where the piece is best sent as it is.
  ByteSpan encode(ByteSpan piece);
  // So long nothing was sent for another reason than the way's.
  void worked(uint64_t nanoseconds) { rate_.worked(nanoseconds); }
  // It has been handed on, or what it was encoded to; so much of all that was ever sent there the other side
  // has had.
  void sent(uint64_t peer_had);

  // Of the way itself, whatever is sent: 0 where it is not known yet. From any thread.
  double bytes_per_second() const { return bytes_per_second_.load(std::memory_order_relaxed); }

 private:
  memory::AdaptiveCodec codec_;
  SendRate rate_;
  std::vector<uint8_t> encoded_;
  bool is_given_up_ = false;
  std::atomic<double> bytes_per_second_{0};
};

}  // namespace tessera::remote
