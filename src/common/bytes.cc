#include "common/bytes.h"

namespace tessera {

std::optional<ByteSpan> slice_at(ByteSpan bytes, size_t offset, size_t size) {
  if (!range_fits(offset, size, bytes.size())) return std::nullopt;
  return bytes.subspan(offset, size);
}

}  // namespace tessera
