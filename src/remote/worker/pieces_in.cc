#include "remote/worker/pieces_in.h"

#include "remote/worker/worker.h"

namespace tessera::remote {

Status PiecesIn::decode(Serving& s, uint64_t stored, std::span<std::byte> piece) {
  if (s.thread->content.is_named()) return Status(Code::kInvalidData, "a piece that is named and coded");
  stored_.resize(stored);
  TESSERA_RETURN_IF_ERROR(s.worker.link().read(stored_));
  TESSERA_RETURN_IF_ERROR(codec_.decode(std::span(reinterpret_cast<const uint8_t*>(stored_.data()), stored),
                                        std::span(reinterpret_cast<uint8_t*>(piece.data()), piece.size())));
  s.thread->content.arrived(piece);
  return Status();
}

}  // namespace tessera::remote
