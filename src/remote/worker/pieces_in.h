// Pieces of payloads that come compressed, or over another connection. Used by whoever leads.
#pragma once

#include <vector>

#include "memory/codec/page_codec.h"
#include "remote/wire/copy.h"
#include "remote/worker/serving.h"

namespace tessera::remote {

class PiecesIn {
 public:
  // Fills `piece`.
  Status read(Serving& s, const CopyFields& fields, std::span<std::byte> piece);

 private:
  memory::PageCodec codec_;
  std::vector<std::byte> stored_;
};

}  // namespace tessera::remote
