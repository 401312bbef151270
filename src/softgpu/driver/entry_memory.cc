// Allocating device memory, pinned host memory, and asking about it.
#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/memory.h"
#include "softgpu/memory/arena.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

constexpr size_t kPitchAlignment = 512;  // CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT at least
constexpr unsigned kHostAllocFlags =
    CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
constexpr unsigned kHostRegisterFlags =
    CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_READ_ONLY;

bool is_host(const Allocation& allocation) {
  return allocation.kind == MemoryKind::kPinned || allocation.kind == MemoryKind::kRegistered;
}

}  // namespace

extern "C" {

CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  return in_context([&](Context& context) -> CUresult {
    if (free != nullptr) *free = context.device().file().free_bytes();
    if (total != nullptr) *total = context.device().total_memory();
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAlloc_v2(CUdeviceptr* dptr, size_t bytesize) {
  return in_context([&](Context& context) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    if (dptr == nullptr) return CUDA_ERROR_INVALID_VALUE;
    uint64_t address = 0;
    SOFTGPU_RETURN_IF_ERROR(allocate_device(context, bytesize, MemoryKind::kDevice, 0, Arena::kGranularity,
                                            MemoryOwner::kProgram, &address));
    *dptr = address;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* dptr, size_t* pPitch, size_t WidthInBytes, size_t Height,
                            unsigned int ElementSizeBytes) {
  return in_context([&](Context& context) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    const bool element_ok = ElementSizeBytes == 4 || ElementSizeBytes == 8 || ElementSizeBytes == 16;
    if (dptr == nullptr || pPitch == nullptr || !element_ok || WidthInBytes == 0 || Height == 0) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    const size_t capacity = context.device().total_memory();
    if (WidthInBytes > capacity || Height > capacity) return CUDA_ERROR_OUT_OF_MEMORY;
    const size_t pitch = (WidthInBytes + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
    if (pitch > capacity / Height) return CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t address = 0;
    SOFTGPU_RETURN_IF_ERROR(allocate_device(context, pitch * Height, MemoryKind::kDevice, 0,
                                            Arena::kGranularity, MemoryOwner::kProgram, &address));
    *dptr = address;
    *pPitch = pitch;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemFree_v2(CUdeviceptr dptr) {
  return in_context([&](Context&) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    return dptr == 0 ? CUDA_SUCCESS : free_device(dptr, MemoryOwner::kProgram);
  });
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* pbase, size_t* psize, CUdeviceptr dptr) {
  return in_context([&](Context&) -> CUresult {
    auto allocation = AllocationTable::instance().find(dptr);
    if (!allocation || is_host(*allocation)) return CUDA_ERROR_NOT_FOUND;
    if (pbase != nullptr) *pbase = allocation->begin;
    if (psize != nullptr) *psize = allocation->size;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAllocHost_v2(void** pp, size_t bytesize) {
  return in_context([&](Context& context) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    if (pp == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return allocate_pinned(context, bytesize, CU_MEMHOSTALLOC_DEVICEMAP, pp);
  });
}

CUresult cuMemHostAlloc(void** pp, size_t bytesize, unsigned int Flags) {
  return in_context([&](Context& context) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    if (pp == nullptr || (Flags & ~kHostAllocFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
    // With unified addressing all pinned memory is mapped.
    return allocate_pinned(context, bytesize, Flags | CU_MEMHOSTALLOC_DEVICEMAP, pp);
  });
}

CUresult cuMemFreeHost(void* p) {
  return in_context([&](Context&) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    return p == nullptr ? CUDA_SUCCESS : free_pinned(p);
  });
}

CUresult cuMemHostRegister_v2(void* p, size_t bytesize, unsigned int Flags) {
  return in_context([&](Context& context) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    if ((Flags & CU_MEMHOSTREGISTER_IOMEMORY) != 0) return CUDA_ERROR_NOT_SUPPORTED;
    if ((Flags & ~kHostRegisterFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
    return register_host(context, p, bytesize, Flags | CU_MEMHOSTREGISTER_DEVICEMAP);
  });
}

CUresult cuMemHostUnregister(void* p) {
  return in_context(
      [&](Context&) -> CUresult { return p == nullptr ? CUDA_ERROR_INVALID_VALUE : unregister_host(p); });
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* pdptr, void* p, unsigned int Flags) {
  return in_context([&](Context&) -> CUresult {
    if (pdptr == nullptr || Flags != 0) return CUDA_ERROR_INVALID_VALUE;
    auto allocation = AllocationTable::instance().find(reinterpret_cast<uint64_t>(p));
    if (!allocation || !is_host(*allocation)) return CUDA_ERROR_INVALID_VALUE;
    *pdptr = reinterpret_cast<uint64_t>(p);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemHostGetFlags(unsigned int* pFlags, void* p) {
  return in_context([&](Context&) -> CUresult {
    auto allocation = AllocationTable::instance().find(reinterpret_cast<uint64_t>(p));
    if (pFlags == nullptr || !allocation || !is_host(*allocation)) return CUDA_ERROR_INVALID_VALUE;
    *pFlags = allocation->flags;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemAllocManaged(CUdeviceptr* dptr, size_t bytesize, unsigned int flags) {
  return in_context([&](Context& context) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    if (dptr == nullptr || (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST))
      return CUDA_ERROR_INVALID_VALUE;
    uint64_t address = 0;
    SOFTGPU_RETURN_IF_ERROR(allocate_device(context, bytesize, MemoryKind::kManaged, flags,
                                            Arena::kGranularity, MemoryOwner::kProgram, &address));
    *dptr = address;
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
