#include "remote/worker/staging.h"

#include <sys/mman.h>

#include "remote/wire/copy.h"

namespace tessera::remote {

Staging::~Staging() {
  if (ring_ != nullptr) munmap(ring_, kRingBytes);
}

bool Staging::make() {
  if (ring_ != nullptr) return true;
  void* ring = mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (ring == MAP_FAILED) return false;
  ring_ = static_cast<std::byte*>(ring);
  // Pinned, copies run by themselves; without, the driver makes a copy of its own. Either is right.
  if (driver_.cuMemHostRegister_v2 != nullptr) {
    (void)driver_.cuMemHostRegister_v2(ring_, kRingBytes, CU_MEMHOSTREGISTER_PORTABLE);
  }
  return true;
}

void Staging::wait_for(uint64_t position) {
  while (free_until_ < position && !fences_.empty()) {
    const Fence fence = fences_.front();
    fences_.pop_front();
    if (driver_.cuEventSynchronize != nullptr) (void)driver_.cuEventSynchronize(fence.event);
    if (driver_.cuEventDestroy_v2 != nullptr) (void)driver_.cuEventDestroy_v2(fence.event);
    free_until_ = fence.end;
  }
}

std::span<std::byte> Staging::take(uint64_t bytes) {
  if (bytes == 0 || bytes > kPieceBytes || !make()) return {};
  const uint64_t rounded = (bytes + 63) / 64 * 64;
  if (taken_ % kRingBytes + rounded > kRingBytes) taken_ += kRingBytes - taken_ % kRingBytes;  // in one piece
  if (taken_ + rounded > kRingBytes) wait_for(taken_ + rounded - kRingBytes);
  std::byte* place = ring_ + taken_ % kRingBytes;
  taken_ += rounded;
  return {place, bytes};
}

// One event stands for all that was taken since the last: it is recorded in streams that follow each other or
// not, so each change of streams has one.
CUresult Staging::used_by(CUstream stream) {
  CUevent event = nullptr;
  CUresult result = driver_.cuEventCreate == nullptr ? CUDA_ERROR_NOT_SUPPORTED
                                                     : driver_.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING);
  if (result == CUDA_SUCCESS) result = driver_.cuEventRecord(event, stream);
  if (result != CUDA_SUCCESS) return result;
  fences_.push_back({taken_, event});
  return result;
}

void Staging::context_is_gone() {
  fences_.clear();  // their events went with it, and so did the copies
  free_until_ = taken_;
}

}  // namespace tessera::remote
