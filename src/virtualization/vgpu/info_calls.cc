// What the program is told about the size of its device.
#include <algorithm>
#include <limits>

#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

// The forms of CUDA 2 have 32-bit results.
template <typename Size>
Size saturate(uint64_t bytes) {
  return static_cast<Size>(std::min<uint64_t>(bytes, std::numeric_limits<Size>::max()));
}

template <auto Entry, typename Size>
CUresult memory_info(Size* free, Size* total) {
  CUresult result = (lower().*Entry)(free, total);
  Tenant* tenant = active_vgpu->tenant();
  if (result != CUDA_SUCCESS || tenant == nullptr) return result;
  uint32_t device;
  result = active_vgpu->current_device(*tenant, device);
  if (result != CUDA_SUCCESS) return result;
  uint64_t limit = tenant->account->limit_bytes(device);
  uint64_t used = tenant->account->slice_used_bytes(device) + tenant->overheads.debt_bytes(device);
  uint64_t left = limit - std::min(limit, used);
  // Where the card itself has less than the slice leaves, it is the card that counts; unless others make
  // room.
  *free = saturate<Size>(tenant->account->is_overcommitted(device) ? left : std::min<uint64_t>(left, *free));
  *total = saturate<Size>(std::min<uint64_t>(limit, *total));
  return CUDA_SUCCESS;
}

template <auto Entry, typename Size>
CUresult total_memory(Size* bytes, CUdevice ordinal) {
  CUresult result = (lower().*Entry)(bytes, ordinal);
  Tenant* tenant = active_vgpu->tenant();
  uint32_t device;
  if (result != CUDA_SUCCESS || tenant == nullptr ||
      active_vgpu->device_of(*tenant, ordinal, device) != CUDA_SUCCESS) {
    return result;
  }
  *bytes = saturate<Size>(std::min<uint64_t>(tenant->account->limit_bytes(device), *bytes));
  return CUDA_SUCCESS;
}

}  // namespace

void install_info_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuMemGetInfo_v2, &memory_info<&DriverTable::cuMemGetInfo_v2, size_t>>(upper, lower);
  replace<&DriverTable::cuMemGetInfo, &memory_info<&DriverTable::cuMemGetInfo, unsigned int>>(upper, lower);
  replace<&DriverTable::cuDeviceTotalMem_v2, &total_memory<&DriverTable::cuDeviceTotalMem_v2, size_t>>(upper,
                                                                                                       lower);
  replace<&DriverTable::cuDeviceTotalMem, &total_memory<&DriverTable::cuDeviceTotalMem, unsigned int>>(upper,
                                                                                                       lower);
}

}  // namespace tessera::vgpu
