// Large payloads on their way to the server and back: what need not be sent because the server has had it,
// and what is compressed. Safe from any thread, but read_payload is whoever's that reads.
#pragma once

#include <functional>
#include <mutex>
#include <optional>

#include "cache/digest.h"
#include "common/bytes.h"
#include "cuda/abi.h"
#include "memory/codec/page_codec.h"
#include "remote/client/naming.h"
#include "remote/link/piece_encoder.h"
#include "remote/link/stripe_choice.h"
#include "remote/link/stripes.h"
#include "remote/wire/copy.h"

namespace tessera::remote {

class Bulk {
 public:
  explicit Bulk(Link& link) : link_(&link) {}

  // What the server has said, and whether it is over a wire.
  struct Way {
    bool is_wire = false;        // not memory of this machine
    bool keeps_content = false;  // the server does
    bool uses_area = false;      // the server looks into memory that both sides see
    size_t most_stripes = 1;
  };
  // `connect`: makes a further connection of the session.
  using Connect = std::function<Result<std::unique_ptr<Link>>(size_t index)>;
  void begin(const Way& way, Connect connect);

  // Another link, while nobody reads or sends.
  void use(Link& link) { link_ = &link; }

  // The name of code or of a tensor, where it is worth asking for it first.
  std::optional<cache::Digest> name_of_code(ByteSpan code);
  std::optional<cache::Digest> name_of_copy(ByteSpan content);
  void was_there(uint64_t bytes);
  void was_not_there(uint64_t bytes);

  // Memory that the server looks into; null where there is none.
  SharedArea* area() const { return way_.uses_area ? link_->area_out() : nullptr; }
  Stripes& stripes() { return stripes_; }

  // One payload to the server at a time is encoded, and the way measured by it.
  class Upload {
   public:
    Upload(Bulk& bulk, uint64_t bytes);
    // Over how many further connections; 0: over the session's own.
    size_t stripes() const { return stripes_; }
    ByteSpan encode(ByteSpan piece) { return turn_ ? bulk_.encoder_.encode(piece) : ByteSpan(); }
    void sent();
    // All of it has gone.
    void done();

   private:
    Bulk& bulk_;
    const std::unique_lock<std::mutex> turn_;
    const uint64_t bytes_, began_ns_;
    size_t stripes_ = 0;
  };

  // Of a payload from the server: over how many further connections it may come.
  size_t stripes_down(uint64_t bytes);

  // The payload of an answer, piece by piece.
  Status read_payload(std::span<std::byte> space);

 private:
  cache::Digest digest(ByteSpan content);
  size_t open_stripes(StripeChoice& choice, uint64_t bytes);
  void came_down(uint64_t bytes, uint64_t nanoseconds, bool is_striped);
  Status read_piece(const PieceHeader& piece, std::span<std::byte> place);

  Link* link_;
  Way way_;
  Connect connect_;
  Stripes stripes_;
  std::mutex opening_;
  StripeChoice up_, down_;  // under opening_
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
