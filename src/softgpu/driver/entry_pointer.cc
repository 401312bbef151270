// What the driver knows about an address.
#include <cstring>

#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/virtual_memory.h"
#include "softgpu/memory/allocation_table.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

template <typename T>
CUresult put(void* data, T value) {
  memcpy(data, &value, sizeof value);
  return CUDA_SUCCESS;
}

bool on_host(const Allocation& allocation) {
  return allocation.kind == MemoryKind::kPinned || allocation.kind == MemoryKind::kRegistered;
}

// What the current context's device may do with it; without a context, the memory's own.
CUDA_POINTER_ATTRIBUTE_ACCESS_FLAGS access_flags(const Allocation& a, uint64_t pointer) {
  const auto context = current_context();
  Device& device = context ? context->device() : *devices()[static_cast<size_t>(a.device)];
  const AddressRange range = device.addresses().find(pointer);
  if (range.end == 0) return CU_POINTER_ATTRIBUTE_ACCESS_FLAG_NONE;
  return range.writable ? CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE : CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READ;
}

// Of a reserved address, where nothing is mapped.
CUresult get_reserved_attribute(uint64_t pointer, CUpointer_attribute attribute, void* data) {
  const auto reservation = VirtualMemory::instance().reservation(pointer);
  if (!reservation) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      return put<uint64_t>(data, reservation->begin);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return put<uint64_t>(data, reservation->size);
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return put<uint32_t>(data, 0);
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult get_attribute(const Allocation& a, uint64_t pointer, CUpointer_attribute attribute, void* data) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
      return put(data, a.context_handle);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
      return put<uint32_t>(data, on_host(a) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
      return put<uint64_t>(data, pointer);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
      if (a.on_device()) return CUDA_ERROR_INVALID_VALUE;
      return put<uint64_t>(data, pointer);
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
      return put<uint32_t>(data, a.sync_memops ? 1 : 0);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
      return put<uint64_t>(data, a.id);
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
      return put<uint32_t>(data, a.kind == MemoryKind::kManaged ? 1 : 0);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
      return put<int32_t>(data, a.device);
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
      return put<uint64_t>(data, a.kind == MemoryKind::kVirtual ? a.range_begin : a.begin);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
      return put<uint64_t>(data, a.kind == MemoryKind::kVirtual ? a.range_size : a.size);
    case CU_POINTER_ATTRIBUTE_MAPPED:
      return put<uint32_t>(data, 1);
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
      return put<uint32_t>(data, a.kind == MemoryKind::kDevice && a.owner == MemoryOwner::kProgram ? 1 : 0);
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
      return put<uint32_t>(data, 0);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
      return put<uint64_t>(data, a.handle_types);
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      return put<uint32_t>(data, access_flags(a, pointer));
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
      return put(data, a.pool_handle);
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
      return put<uint64_t>(data, a.size);
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
      return put<uint64_t>(data, a.begin);
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
      return put<uint64_t>(data, a.block_id != 0 ? a.block_id : a.id);
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
      return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult get_attribute_at(uint64_t pointer, CUpointer_attribute attribute, void* data) {
  const auto allocation = AllocationTable::instance().find(pointer);
  return allocation ? get_attribute(*allocation, pointer, attribute, data)
                    : get_reserved_attribute(pointer, attribute, data);
}

// Bytes of an attribute that is 0 for memory the driver does not know; 0 for one that does not exist.
size_t size_of_attribute(CUpointer_attribute attribute) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      return sizeof(uint32_t);
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
      return sizeof(CUDA_POINTER_ATTRIBUTE_P2P_TOKENS);
    default:
      return attribute >= CU_POINTER_ATTRIBUTE_CONTEXT &&
                     attribute <= CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE
                 ? sizeof(uint64_t)
                 : 0;
  }
}

void put_unknown(CUpointer_attribute attribute, uint64_t pointer, void* data) {
  if (attribute == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL) {
    put<int32_t>(data, CU_DEVICE_INVALID);
  } else if (attribute == CU_POINTER_ATTRIBUTE_HOST_POINTER) {
    put<uint64_t>(data, pointer);
  } else {
    memset(data, 0, size_of_attribute(attribute));
  }
}

}  // namespace

extern "C" {

CUresult cuPointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr ptr) {
  return initialised([&]() -> CUresult {
    if (data == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return get_attribute_at(ptr, attribute, data);
  });
}

// Unlike the single form, unknown memory is no error: its attributes are zeros.
CUresult cuPointerGetAttributes(unsigned int numAttributes, CUpointer_attribute* attributes, void** data,
                                CUdeviceptr ptr) {
  return initialised([&]() -> CUresult {
    if (numAttributes == 0 || attributes == nullptr || data == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < numAttributes; ++i) {
      if (data[i] == nullptr || size_of_attribute(attributes[i]) == 0) return CUDA_ERROR_INVALID_VALUE;
    }
    const bool known = AllocationTable::instance().find(ptr).has_value();
    for (unsigned i = 0; i < numAttributes; ++i) {
      if (get_attribute_at(ptr, attributes[i], data[i]) != CUDA_SUCCESS)
        put_unknown(attributes[i], known ? 0 : ptr, data[i]);
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuPointerSetAttribute(const void* value, CUpointer_attribute attribute, CUdeviceptr ptr) {
  return initialised([&]() -> CUresult {
    if (value == nullptr || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS) return CUDA_ERROR_INVALID_VALUE;
    const bool on = *static_cast<const unsigned*>(value) != 0;
    return AllocationTable::instance().set_sync_memops(ptr, on) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

}  // extern "C"
