#include "remote/worker/pieces_out.h"

#include <sys/mman.h>

#include "remote/wire/copy.h"

namespace tessera::remote {
namespace {

// A client that keeps all slots gets the pieces through the ring.
constexpr std::chrono::seconds kAreaPatience(1);

}  // namespace

PiecesOut::~PiecesOut() {
  if (memory_ != nullptr) munmap(memory_, kPieces * kPieceBytes);
}

bool PiecesOut::make() {
  if (memory_ != nullptr) return true;
  void* memory =
      mmap(nullptr, kPieces * kPieceBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  memory_ = static_cast<std::byte*>(memory);
  if (driver_.cuMemHostRegister_v2 != nullptr) {
    (void)driver_.cuMemHostRegister_v2(memory_, kPieces * kPieceBytes, CU_MEMHOSTREGISTER_PORTABLE);
  }
  return true;
}

std::byte* PiecesOut::take(Link& link) {
  if (SharedArea* const area = link.area_out(); area != nullptr && link.is_area_open()) {
    if (const auto slot = area->take(kAreaPatience)) return area->slot(*slot).data();
  }
  if (!make()) return nullptr;
  const size_t index = next_;
  next_ = (next_ + 1) % kPieces;
  if (offsets_[index] != 0 && !link.wait_taken(offsets_[index]).ok()) return nullptr;
  offsets_[index] = 0;
  return memory_ + index * kPieceBytes;
}

void PiecesOut::drop(Link& link, const std::byte* piece) {
  SharedArea* const area = link.area_out();
  if (area == nullptr || piece == nullptr) return;
  if (const auto slot = area->number_of(piece)) area->give_back(*slot);
}

void PiecesOut::sent(const std::byte* piece, uint64_t offset) {
  const auto at = static_cast<uintptr_t>(piece - memory_);
  if (memory_ != nullptr && at < kPieces * kPieceBytes) offsets_[at / kPieceBytes] = offset;
}

}  // namespace tessera::remote
