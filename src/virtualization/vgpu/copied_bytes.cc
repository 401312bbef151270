#include "virtualization/vgpu/copied_bytes.h"

namespace tessera::vgpu {

void count_copied(CopyWay way, uint64_t bytes) {
  if (way == CopyWay::kOnHost) return;
  constexpr std::atomic<uint64_t> DeviceCounters::*kCounters[] = {
      &DeviceCounters::bytes_to_device, &DeviceCounters::bytes_from_device, &DeviceCounters::bytes_on_device};
  (active_vgpu->current_counters().*kCounters[static_cast<size_t>(way)])
      .fetch_add(bytes, std::memory_order_relaxed);
}

// The driver does not know memory of the host that nobody registered.
bool is_device_address(CUdeviceptr address) {
  unsigned int type = 0;
  return lower().cuPointerGetAttribute != nullptr &&
         lower().cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address) == CUDA_SUCCESS &&
         type != CU_MEMORYTYPE_HOST;
}

}  // namespace tessera::vgpu
