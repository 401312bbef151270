// The bytes of a stream that have not been received by the peer yet: what was appended, in order, with what
// of it has been sent. Small messages are copied into blocks; large payloads are borrowed where they lie.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "common/bytes.h"

namespace tessera::remote {

// Not safe for several threads at once.
class SendQueue {
 public:
  static constexpr size_t kBlockBytes = 64 << 10;

  // Room for `bytes` (at most kBlockBytes) in one piece, to be written before `append`.
  std::byte* room(size_t bytes);
  // The first `bytes` of the room are part of the stream now.
  void append(size_t bytes);
  // Bytes that the caller keeps, unchanged, until `received` has passed them.
  void append_borrowed(ByteSpan bytes);

  // Offsets in the stream: received by the peer, handed to a connection, appended.
  uint64_t received() const { return received_; }
  uint64_t sent() const { return sent_; }
  uint64_t appended() const { return appended_; }

  // Unsent bytes, at most `limit`, as pieces (at most pieces.size() of them): how many pieces, and their
  // bytes.
  struct Pieces {
    size_t count = 0;
    size_t bytes = 0;
  };
  Pieces unsent(std::span<iovec> pieces, size_t limit) const;
  void mark_sent(size_t bytes) { sent_ += bytes; }
  // The peer has received the stream up to `offset`; false where it cannot have (beyond what was sent, or
  // back).
  [[nodiscard]] bool mark_received(uint64_t offset);
  // A new connection: what the peer has not received is to be sent again.
  void rewind() { sent_ = received_; }

 private:
  struct Block {
    std::unique_ptr<std::byte[]> bytes = std::make_unique_for_overwrite<std::byte[]>(kBlockBytes);
    size_t used = 0;
  };
  struct Piece {
    const std::byte* data;
    size_t bytes;
    std::shared_ptr<Block> block;  // empty where borrowed
  };

  std::shared_ptr<Block> fresh_block();

  std::deque<Piece> pieces_;                   // from received_ on
  std::shared_ptr<Block> filling_;             // the block that small messages go to
  std::vector<std::shared_ptr<Block>> spare_;  // emptied blocks, at most kSpareBlocks
  uint64_t received_ = 0;
  uint64_t sent_ = 0;
  uint64_t appended_ = 0;
  // Where the first unsent byte is: so that a long queue is not walked from its start for each frame.
  mutable size_t cursor_piece_ = 0;
  mutable uint64_t cursor_offset_ = 0;  // offset in the stream of the start of that piece
};

}  // namespace tessera::remote
