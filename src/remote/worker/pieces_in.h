// Pieces of payloads that come compressed. Used by whoever leads.
#pragma once

#include <vector>

#include "memory/codec/page_codec.h"
#include "remote/worker/serving.h"

namespace tessera::remote {

class PiecesIn {
 public:
  // Fills `piece` from the `stored` bytes that come next.
  Status decode(Serving& s, uint64_t stored, std::span<std::byte> piece);

 private:
  memory::PageCodec codec_;
  std::vector<std::byte> stored_;
};

}  // namespace tessera::remote
