// How many bytes a copy moves and which way, from its arguments: visit() calls what it is given with that,
// once or, of a batch, for each of its copies.
#pragma once

#include <cstdint>

#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {

inline CopyWay way_between(bool from_device, bool to_device) {
  if (from_device) return to_device ? CopyWay::kOnDevice : CopyWay::kFromDevice;
  return to_device ? CopyWay::kToDevice : CopyWay::kOnHost;
}

// On the calling thread's device; what stays on the host counts nowhere.
void count_copied(CopiedBytes copied);

// Whether a unified address is of a device's memory, managed memory included: asks the driver.
bool is_device_address(CUdeviceptr address);

// The name of the entry says which way; of its arguments the last number is how much.
template <CopyWay Way>
struct CopiedBySize {
  template <typename Visit, typename... Args>
  static void visit(const Visit& visit, Args... args) {
    uint64_t bytes = 0;
    (look_at(args, bytes), ...);
    visit(CopiedBytes{Way, bytes});
  }
  static void look_at(size_t argument, uint64_t& bytes) { bytes = argument; }
  static void look_at(unsigned int argument, uint64_t& bytes) { bytes = argument; }
  template <typename Other>
  static void look_at(const Other&, uint64_t&) {}
};

// cuMemcpy: the addresses say which way.
struct CopiedByAddress {
  template <typename Visit, typename... Rest>
  static void visit(const Visit& visit, CUdeviceptr to, CUdeviceptr from, size_t bytes, Rest...) {
    visit(CopiedBytes{way_between(is_device_address(from), is_device_address(to)), bytes});
  }
};

// CUDA_MEMCPY2D, CUDA_MEMCPY3D and their like.
struct CopiedByShape {
  template <typename Visit, typename Shape, typename... Rest>
  static void visit(const Visit& visit, const Shape* shape, Rest...) {
    if (shape != nullptr) visit(told(*shape));
  }
  template <typename Shape>
  static CopiedBytes told(const Shape& shape) {
    uint64_t bytes = uint64_t{shape.WidthInBytes} * shape.Height;
    if constexpr (requires { shape.Depth; }) bytes *= shape.Depth;
    return {way_between(is_on_device(shape.srcMemoryType, shape.srcDevice),
                        is_on_device(shape.dstMemoryType, shape.dstDevice)),
            bytes};
  }
  static bool is_on_device(CUmemorytype type, CUdeviceptr unified) {
    if (type == CU_MEMORYTYPE_UNIFIED) return is_device_address(unified);
    return type != CU_MEMORYTYPE_HOST;
  }
};

// cuMemcpyBatchAsync.
struct CopiedInBatch {
  template <typename Visit, typename... Rest>
  static void visit(const Visit& visit, const CUdeviceptr* to, const CUdeviceptr* from, const size_t* bytes,
                    size_t count, Rest...) {
    if (to == nullptr || from == nullptr || bytes == nullptr) return;
    for (size_t i = 0; i < count; ++i)
      visit(CopiedBytes{way_between(is_device_address(from[i]), is_device_address(to[i])), bytes[i]});
  }
};

// cuMemcpy3DBatchAsync.
struct CopiedInShapedBatch {
  template <typename Visit, typename... Rest>
  static void visit(const Visit& visit, size_t count, const CUDA_MEMCPY3D_BATCH_OP* copies, Rest...) {
    for (size_t i = 0; copies != nullptr && i < count; ++i) visit(told(copies[i]));
  }
  static CopiedBytes told(const CUDA_MEMCPY3D_BATCH_OP& copy);
};

// Sets, and what the daemon has no counter for: prefetches.
struct NotCounted {
  template <typename Visit, typename... Args>
  static void visit(const Visit&, Args...) {}
};

}  // namespace tessera::vgpu
