// Virtual memory management.
#include <algorithm>
#include <limits>

#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/virtual_memory.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

constexpr uint64_t kHostPageBytes = 4096;
constexpr uint64_t kGranularity = DeviceMemory::kPagesGranularity;

bool power_of_two(uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }
bool whole(uint64_t value) { return value % kGranularity == 0; }

// Host memory takes no part in it: the device attributes say so beforehand.
CUresult check_location(const CUmemLocation& location, Device** device) {
  switch (location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
      return find_device(location.id, device);
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
      return CUDA_ERROR_NOT_SUPPORTED;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult check_handle_types(CUmemAllocationHandleType types) {
  const bool served = types == CU_MEM_HANDLE_TYPE_NONE || types == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  return served ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

// Of the one handle that is exported or imported.
CUresult check_handle_type(CUmemAllocationHandleType type) {
  return type == CU_MEM_HANDLE_TYPE_NONE ? CUDA_ERROR_INVALID_VALUE : check_handle_types(type);
}

CUresult check_properties(const CUmemAllocationProp* properties, Device** device) {
  if (properties == nullptr || properties->type != CU_MEM_ALLOCATION_TYPE_PINNED)
    return CUDA_ERROR_INVALID_VALUE;
  SOFTGPU_RETURN_IF_ERROR(check_location(properties->location, device));
  SOFTGPU_RETURN_IF_ERROR(check_handle_types(properties->requestedHandleTypes));
  if (properties->allocFlags.compressionType > CU_MEM_ALLOCATION_COMP_GENERIC)
    return CUDA_ERROR_INVALID_VALUE;
  // Tile pools of sparse arrays, hardware decompression.
  return properties->allocFlags.usage == 0 ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult check_access(const CUmemAccessDesc* wanted, size_t count) {
  if (wanted == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < count; ++i) {
    const CUmemAccess_flags flags = wanted[i].flags;
    const bool known = flags == CU_MEM_ACCESS_FLAGS_PROT_NONE || flags == CU_MEM_ACCESS_FLAGS_PROT_READ ||
                       flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    if (!known) return CUDA_ERROR_INVALID_VALUE;
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(check_location(wanted[i].location, &device));
  }
  return CUDA_SUCCESS;
}

template <typename Body>
CUresult in_virtual_memory(Body&& body) {
  return guarded([&]() -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(require_initialised_outside_callback());
    return body(VirtualMemory::instance());
  });
}

}  // namespace

extern "C" {

CUresult cuMemAddressReserve(CUdeviceptr* ptr, size_t size, size_t alignment, CUdeviceptr addr,
                             unsigned long long flags) {
  return in_virtual_memory([&](VirtualMemory& memory) -> CUresult {
    const bool sizes_ok = size != 0 && size % kHostPageBytes == 0 && addr % kHostPageBytes == 0 &&
                          (alignment == 0 || power_of_two(alignment));
    if (ptr == nullptr || !sizes_ok || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    uint64_t begin = 0;
    SOFTGPU_RETURN_IF_ERROR(memory.reserve(size, std::max<uint64_t>(alignment, kGranularity), addr, &begin));
    *ptr = begin;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAddressFree(CUdeviceptr ptr, size_t size) {
  return in_virtual_memory([&](VirtualMemory& memory) { return memory.free(ptr, size); });
}

CUresult cuMemGetAllocationGranularity(size_t* granularity, const CUmemAllocationProp* prop,
                                       CUmemAllocationGranularity_flags option) {
  return initialised([&]() -> CUresult {
    if (granularity == nullptr || option > CU_MEM_ALLOC_GRANULARITY_RECOMMENDED)
      return CUDA_ERROR_INVALID_VALUE;
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(check_properties(prop, &device));
    *granularity = kGranularity;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemCreate(CUmemGenericAllocationHandle* handle, size_t size, const CUmemAllocationProp* prop,
                     unsigned long long flags) {
  return in_virtual_memory([&](VirtualMemory& memory) -> CUresult {
    if (handle == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(check_properties(prop, &device));
    if (size == 0 || !whole(size)) return CUDA_ERROR_INVALID_VALUE;
    CUmemAllocationProp made = *prop;
    made.allocFlags.compressionType = CU_MEM_ALLOCATION_COMP_NONE;  // a wish, and not granted
    made.allocFlags.gpuDirectRDMACapable = 0;
    return memory.create(*device, size, made, handle);
  });
}

CUresult cuMemExportToShareableHandle(void* shareableHandle, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType handleType, unsigned long long flags) {
  return in_virtual_memory([&](VirtualMemory& memory) -> CUresult {
    if (shareableHandle == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    SOFTGPU_RETURN_IF_ERROR(check_handle_type(handleType));
    return memory.export_file(handle, static_cast<int*>(shareableHandle));
  });
}

// The descriptor itself stands where a pointer is declared.
CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* handle, void* osHandle,
                                        CUmemAllocationHandleType shHandleType) {
  return in_virtual_memory([&](VirtualMemory& memory) -> CUresult {
    const auto fd = reinterpret_cast<uintptr_t>(osHandle);
    if (handle == nullptr || fd > static_cast<uintptr_t>(std::numeric_limits<int>::max()))
      return CUDA_ERROR_INVALID_VALUE;
    SOFTGPU_RETURN_IF_ERROR(check_handle_type(shHandleType));
    return memory.import_file(static_cast<int>(fd), handle);
  });
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle) {
  return in_virtual_memory([&](VirtualMemory& memory) { return memory.release(handle); });
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* addr) {
  return in_virtual_memory([&](VirtualMemory& memory) -> CUresult {
    return handle == nullptr ? CUDA_ERROR_INVALID_VALUE
                             : memory.retain(reinterpret_cast<uint64_t>(addr), handle);
  });
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* prop,
                                                CUmemGenericAllocationHandle handle) {
  return initialised([&]() -> CUresult {
    return prop == nullptr ? CUDA_ERROR_INVALID_VALUE : VirtualMemory::instance().properties(handle, prop);
  });
}

// An offset other than 0 is refused, as CUDA says that it must be 0.
CUresult cuMemMap(CUdeviceptr ptr, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags) {
  return in_virtual_memory([&](VirtualMemory& memory) -> CUresult {
    if (size == 0 || !whole(size) || !whole(ptr) || offset != 0 || flags != 0)
      return CUDA_ERROR_INVALID_VALUE;
    return memory.map(ptr, size, handle);
  });
}

CUresult cuMemUnmap(CUdeviceptr ptr, size_t size) {
  return in_virtual_memory([&](VirtualMemory& memory) { return memory.unmap(ptr, size); });
}

CUresult cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc* desc, size_t count) {
  return in_virtual_memory([&](VirtualMemory& memory) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(check_access(desc, count));
    return memory.set_access(ptr, size, {desc, count});
  });
}

CUresult cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location, CUdeviceptr ptr) {
  return initialised([&]() -> CUresult {
    if (flags == nullptr || location == nullptr) return CUDA_ERROR_INVALID_VALUE;
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(check_location(*location, &device));
    CUmemAccess_flags found{};
    SOFTGPU_RETURN_IF_ERROR(VirtualMemory::instance().get_access(*device, ptr, &found));
    *flags = found;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
