#include "softgpu/driver/device_heap.h"

#include "softgpu/driver/context.h"
#include "softgpu/driver/memory.h"
#include "softgpu/memory/arena.h"

namespace tessera::softgpu {

CUresult DeviceHeap::reserve(Context& context, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (ranges_) return CUDA_SUCCESS;
  const uint64_t size = (bytes + kGranularity - 1) / kGranularity * kGranularity;
  if (size < bytes) return CUDA_ERROR_OUT_OF_MEMORY;
  uint64_t address = 0;
  const CUresult result = allocate_device(context, size, MemoryKind::kDevice, 0, Arena::kGranularity,
                                          MemoryOwner::kKernels, &address);
  if (result == CUDA_SUCCESS) ranges_.emplace(address, size, kGranularity);
  return result;
}

bool DeviceHeap::reserved() const {
  std::lock_guard lock(mutex_);
  return ranges_.has_value();
}

void DeviceHeap::forget() {
  std::lock_guard lock(mutex_);
  ranges_.reset();
  sizes_.clear();
}

uint64_t DeviceHeap::allocate(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (!ranges_ || bytes == 0 || bytes > ranges_->largest_free()) return 0;
  const auto range = ranges_->allocate(bytes, kGranularity);
  if (!range) return 0;
  sizes_[range->begin] = range->size;
  return range->begin;
}

bool DeviceHeap::free(uint64_t address) {
  std::lock_guard lock(mutex_);
  const auto found = sizes_.find(address);
  if (found == sizes_.end()) return false;
  ranges_->free({found->first, found->second});
  sizes_.erase(found);
  return true;
}

}  // namespace tessera::softgpu
