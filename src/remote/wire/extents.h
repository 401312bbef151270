// How many elements a parameter of the driver API points to, where no other parameter says so (calls.tbl).
#pragma once

#include <concepts>
#include <cstdint>

#include "cuda/abi.h"

namespace tessera::remote {

constexpr uint64_t count_of(std::integral auto count) { return static_cast<uint64_t>(count); }
// A count that is read and written: what it says on entry.
template <std::integral T>
constexpr uint64_t count_of(const T* count) {
  return count == nullptr ? 0 : static_cast<uint64_t>(*count);
}
// How many there are, of an array that had room for so many: no more than were written, whoever says it.
template <std::integral T>
constexpr void bound_count(T* count, uint64_t room, bool is_wanted) {
  if (count != nullptr && is_wanted && count_of(count) > room) *count = static_cast<T>(room);
}
constexpr uint64_t less(uint64_t count, uint64_t by) { return count < by ? 0 : count - by; }

// Source: the types that cuda.h names beside each attribute.
constexpr uint64_t pool_attribute_bytes(CUmemPool_attribute attribute) {
  switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      return sizeof(int);
    default:
      return sizeof(cuuint64_t);
  }
}

constexpr uint64_t pointer_attribute_bytes(CUpointer_attribute attribute) {
  switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
      return 4;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
      return 4;
    case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
      return 16;
    default:
      return 8;
  }
}

}  // namespace tessera::remote
