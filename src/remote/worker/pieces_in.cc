#include "remote/worker/pieces_in.h"

#include <cstring>

#include "remote/worker/worker.h"

namespace tessera::remote {

Status PiecesIn::read(Serving& s, const CopyFields& fields, std::span<std::byte> piece) {
  if (s.thread->content.is_named())
    return Status(Code::kInvalidData, "a piece that is named, and comes as well");
  if (fields.number != 0) {
    TESSERA_ASSIGN_OR_RETURN(stored_, s.worker.stripes().take(fields.number));
    if (stored_.size() != fields.stored)
      return Status(Code::kInvalidData, "another piece than was said has come");
  } else {
    stored_.resize(fields.stored);
    TESSERA_RETURN_IF_ERROR(s.worker.link().read(stored_));
  }
  if (fields.form == PieceForm::kPlain) {
    memcpy(piece.data(), stored_.data(), piece.size());
  } else {
    TESSERA_RETURN_IF_ERROR(
        codec_.decode(std::span(reinterpret_cast<const uint8_t*>(stored_.data()), stored_.size()),
                      std::span(reinterpret_cast<uint8_t*>(piece.data()), piece.size())));
  }
  s.thread->content.arrived(piece);
  return Status();
}

}  // namespace tessera::remote
