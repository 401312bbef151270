// Reserved addresses and physical memory, owned.
#pragma once

#include "driver_check.h"

namespace check {

inline CUmemAllocationProp physical_properties(
    CUmemAllocationHandleType handle_types = CU_MEM_HANDLE_TYPE_NONE, int device = 0) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  properties.requestedHandleTypes = handle_types;
  return properties;
}

inline size_t physical_granularity() {
  const CUmemAllocationProp properties = physical_properties();
  size_t granularity = 0;
  CU_CHECK(cuMemGetAllocationGranularity(&granularity, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  return granularity;
}

inline CUmemGenericAllocationHandle create_physical(
    size_t size, CUmemAllocationHandleType types = CU_MEM_HANDLE_TYPE_NONE) {
  const CUmemAllocationProp properties = physical_properties(types);
  CUmemGenericAllocationHandle handle = 0;
  CU_CHECK(cuMemCreate(&handle, size, &properties, 0));
  return handle;
}

inline CUdeviceptr reserve(size_t size) {
  CUdeviceptr address = 0;
  CU_CHECK(cuMemAddressReserve(&address, size, 0, 0, 0));
  return address;
}

inline void allow(CUdeviceptr address, size_t size,
                  CUmemAccess_flags flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
  const CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, flags};
  CU_CHECK(cuMemSetAccess(address, size, &access, 1));
}

}  // namespace check
