#include "remote/worker/pieces_out.h"

#include <sys/mman.h>

#include "remote/wire/copy.h"

namespace tessera::remote {

PiecesOut::~PiecesOut() {
  if (memory_ != nullptr) munmap(memory_, kPieces * kPieceBytes);
}

std::byte* PiecesOut::take(Link& link, size_t* index) {
  if (memory_ == nullptr) {
    void* memory =
        mmap(nullptr, kPieces * kPieceBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    memory_ = static_cast<std::byte*>(memory);
    if (driver_.cuMemHostRegister_v2 != nullptr) {
      (void)driver_.cuMemHostRegister_v2(memory_, kPieces * kPieceBytes, CU_MEMHOSTREGISTER_PORTABLE);
    }
  }
  *index = next_;
  next_ = (next_ + 1) % kPieces;
  if (offsets_[*index] != 0 && !link.wait_taken(offsets_[*index]).ok()) return nullptr;
  return memory_ + *index * kPieceBytes;
}

}  // namespace tessera::remote
