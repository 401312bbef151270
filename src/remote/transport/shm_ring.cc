#include "remote/transport/shm_ring.h"

#include <algorithm>
#include <cstring>

namespace tessera::remote {

Status corrupt_ring() {
  return {Code::kUnavailable,
          "the connection has broken: the other side has written nonsense into the shared memory"};
}

void RingWriter::copy_in(uint64_t written, std::span<const std::byte> piece) {
  const size_t at = written & (size_ - 1);
  const size_t first = std::min(piece.size(), size_ - at);
  std::memcpy(bytes_ + at, piece.data(), first);
  std::memcpy(bytes_, piece.data() + first, piece.size() - first);
}

void RingReader::copy_out(uint64_t read, std::span<std::byte> space) {
  const size_t at = read & (size_ - 1);
  const size_t first = std::min(space.size(), size_ - at);
  std::memcpy(space.data(), bytes_ + at, first);
  std::memcpy(space.data() + first, bytes_, space.size() - first);
}

}  // namespace tessera::remote
