#include "softgpu/driver/graph/condition_values.h"

#include <atomic>

#include "softgpu/driver/context.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/memory.h"
#include "softgpu/memory/arena.h"

namespace tessera::softgpu {

ConditionValues& ConditionValues::instance() {
  static auto* values = new ConditionValues();
  return *values;
}

CUresult ConditionValues::take(Context& context, uint64_t* address) {
  constexpr uint64_t kBlockBytes = Arena::kGranularity;
  std::lock_guard lock(mutex_);
  std::vector<uint64_t>& free = free_[context.device().ordinal()];
  if (free.empty()) {
    uint64_t block = 0;
    const CUresult result = allocate_device(context, kBlockBytes, MemoryKind::kDevice, 0, kBlockBytes,
                                            MemoryOwner::kLibrary, &block);
    if (result != CUDA_SUCCESS) return result;
    for (uint64_t end = kBlockBytes; end > 0; end -= sizeof(unsigned)) {
      free.push_back(block + end - sizeof(unsigned));
    }
  }
  *address = free.back();
  free.pop_back();
  // Without a default CUDA leaves open what it begins with: not with what somebody else left there.
  std::atomic_ref(*reinterpret_cast<unsigned*>(*address)).store(0);
  return CUDA_SUCCESS;
}

void ConditionValues::give_back(int device, uint64_t address) {
  std::lock_guard lock(mutex_);
  free_[device].push_back(address);
}

}  // namespace tessera::softgpu
