// Large payloads on their way to the server and back: what need not be sent because the server has had it,
// and what is compressed. Safe from any thread, but read_payload is whoever's that reads.
#pragma once

#include <mutex>
#include <optional>

#include "cache/digest.h"
#include "common/bytes.h"
#include "cuda/abi.h"
#include "memory/codec/page_codec.h"
#include "remote/client/naming.h"
#include "remote/link/piece_encoder.h"

namespace tessera::remote {

class Bulk {
 public:
  explicit Bulk(Link& link) : link_(&link) {}

  // What the server has said. `is_wire`: not memory of this machine.
  void begin(bool is_wire, bool keeps_content);

  // Another link, while nobody reads or sends.
  void use(Link& link) { link_ = &link; }

  // The name of code or of a tensor, where it is worth asking for it first.
  std::optional<cache::Digest> name_of_code(ByteSpan code);
  std::optional<cache::Digest> name_of_copy(ByteSpan content);
  void was_there(uint64_t bytes);
  void was_not_there(uint64_t bytes);

  // One payload to the server at a time is encoded, and the way measured by it.
  class Upload {
   public:
    explicit Upload(Bulk& bulk);
    ByteSpan encode(ByteSpan piece) { return turn_ ? bulk_.encoder_.encode(piece) : ByteSpan(); }
    void sent() {
      if (turn_) bulk_.encoder_.sent(*bulk_.link_);
    }
    // All of it has gone.
    void done(uint64_t bytes);

   private:
    Bulk& bulk_;
    const std::unique_lock<std::mutex> turn_;
  };

  // The payload of an answer, piece by piece.
  Status read_payload(std::span<std::byte> space);

 private:
  cache::Digest digest(ByteSpan content);

  Link* link_;
  bool is_wire_ = false, keeps_content_ = false;
  std::mutex uploading_;
  PieceEncoder encoder_;  // under uploading_
  std::mutex naming_lock_;
  Naming naming_;  // under naming_lock_
  memory::PageCodec decoder_;
  std::vector<std::byte> stored_;
};

// Tells a server what comes of this thread next (wire/content.h).
CUresult announce_content(unsigned server, const cache::Digest& name, uint64_t bytes, bool follows);
// A copy to the device of memory that is known to be the program's, on a stream that lives.
CUresult copy_in_pieces(unsigned server, uint64_t device, ByteSpan source, uint64_t stream, bool per_thread);

}  // namespace tessera::remote
