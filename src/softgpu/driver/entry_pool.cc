// Stream-ordered allocation and its pools.
#include <limits>

#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/graph/memory_nodes.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/memory_pool.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// An allocation node where the pool's memory would be, seen by the devices that see the pool's.
CUresult capture_allocation(Stream& stream, const MemoryPool& pool, size_t size, CUdeviceptr* address) {
  std::vector<CUmemAccessDesc> access;
  for (const Device* device : devices()) {
    CUmemAccessDesc seen{{CU_MEM_LOCATION_TYPE_DEVICE, {device->ordinal()}}, CU_MEM_ACCESS_FLAGS_PROT_NONE};
    SOFTGPU_RETURN_IF_ERROR(pool.get_access(seen.location, &seen.flags));
    if (seen.flags != CU_MEM_ACCESS_FLAGS_PROT_NONE) access.push_back(seen);
  }
  CUDA_MEM_ALLOC_NODE_PARAMS params{};
  params.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  params.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, {pool.device().ordinal()}};
  params.accessDescs = access.data();
  params.accessDescCount = access.size();
  params.bytesize = size;
  return capture_node(
      stream, [&](Graph& graph, std::span<const GraphNode::Edge> edges, GraphNode** node) -> CUresult {
        SOFTGPU_RETURN_IF_ERROR(add_alloc_node(graph, edges, params, node));
        *address = static_cast<const AllocWork&>(*(*node)->work()).params().dptr;
        return CUDA_SUCCESS;
      });
}

CUresult allocate(CUdeviceptr* dptr, size_t size, MemoryPool* pool, CUstream hStream) {
  std::shared_ptr<Stream> stream;
  SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
  if (dptr == nullptr) return CUDA_ERROR_INVALID_VALUE;
  bool captured = false;
  SOFTGPU_RETURN_IF_ERROR(enter_stream(*stream, &captured));
  auto current = stream->context().device().current_pool();
  MemoryPool& used = pool != nullptr ? *pool : *current;
  if (used.imported()) return CUDA_ERROR_INVALID_VALUE;
  if (captured) return capture_allocation(*stream, used, size, dptr);
  uint64_t address = 0;
  SOFTGPU_RETURN_IF_ERROR(used.allocate(*stream, size, &address));
  *dptr = address;
  return CUDA_SUCCESS;
}

template <typename Body>
CUresult with_pool(CUmemoryPool handle, Body&& body) {
  return initialised([&]() -> CUresult {
    auto pool = live<MemoryPool>().find(handle);
    return pool ? body(*pool) : CUDA_ERROR_INVALID_VALUE;
  });
}

template <typename Body>
CUresult with_device(CUdevice ordinal, Body&& body) {
  return guarded([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(ordinal, &device));
    return body(*device);
  });
}

CUresult check_handle_type(CUmemAllocationHandleType type) {
  if (type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return CUDA_SUCCESS;
  return type == CU_MEM_HANDLE_TYPE_NONE ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_SUPPORTED;
}

// Pools of other places and kinds (host, managed) come later.
CUresult check_place(const CUmemLocation* location, CUmemAllocationType type) {
  if (location == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (location->type != CU_MEM_LOCATION_TYPE_DEVICE || type != CU_MEM_ALLOCATION_TYPE_PINNED) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuMemAllocAsync(CUdeviceptr* dptr, size_t bytesize, CUstream hStream) {
  return guarded([&] { return allocate(dptr, bytesize, nullptr, hStream); });
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr* dptr, size_t bytesize, CUmemoryPool pool, CUstream hStream) {
  return with_pool(pool, [&](MemoryPool& found) { return allocate(dptr, bytesize, &found, hStream); });
}

CUresult cuMemFreeAsync(CUdeviceptr dptr, CUstream hStream) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    bool captured = false;
    SOFTGPU_RETURN_IF_ERROR(enter_stream(*stream, &captured));
    if (captured) {
      return capture_node(*stream, [&](Graph& graph, std::span<const GraphNode::Edge> edges,
                                       GraphNode** node) { return add_free_node(graph, edges, dptr, node); });
    }
    return dptr == 0 ? CUDA_SUCCESS : free_in_order(*stream, dptr);
  });
}

CUresult cuMemPoolTrimTo(CUmemoryPool pool, size_t minBytesToKeep) {
  return with_pool(pool, [&](MemoryPool& found) -> CUresult {
    found.trim(minBytesToKeep);
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void* value) {
  return with_pool(pool, [&](MemoryPool& found) -> CUresult {
    return value == nullptr ? CUDA_ERROR_INVALID_VALUE : found.set_attribute(attr, value);
  });
}

CUresult cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void* value) {
  return with_pool(pool, [&](MemoryPool& found) -> CUresult {
    return value == nullptr ? CUDA_ERROR_INVALID_VALUE : found.get_attribute(attr, value);
  });
}

CUresult cuMemPoolCreate(CUmemoryPool* pool, const CUmemPoolProps* poolProps) {
  return initialised([&]() -> CUresult {
    if (pool == nullptr || poolProps == nullptr) return CUDA_ERROR_INVALID_VALUE;
    SOFTGPU_RETURN_IF_ERROR(check_place(&poolProps->location, poolProps->allocType));
    const bool shareable = poolProps->handleTypes == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    if (!shareable && poolProps->handleTypes != CU_MEM_HANDLE_TYPE_NONE) return CUDA_ERROR_NOT_SUPPORTED;
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(poolProps->location.id, &device));
    *pool = MemoryPool::create(*device, shareable)->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolExportToShareableHandle(void* handle_out, CUmemoryPool pool,
                                          CUmemAllocationHandleType handleType, unsigned long long flags) {
  return with_pool(pool, [&](MemoryPool& found) -> CUresult {
    if (handle_out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    SOFTGPU_RETURN_IF_ERROR(check_handle_type(handleType));
    return found.export_file(static_cast<int*>(handle_out));
  });
}

// The descriptor itself stands where a pointer is declared.
CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool* pool_out, void* handle,
                                            CUmemAllocationHandleType handleType, unsigned long long flags) {
  return initialised([&]() -> CUresult {
    const auto fd = reinterpret_cast<uintptr_t>(handle);
    if (pool_out == nullptr || flags != 0 || fd > static_cast<uintptr_t>(std::numeric_limits<int>::max()))
      return CUDA_ERROR_INVALID_VALUE;
    SOFTGPU_RETURN_IF_ERROR(check_handle_type(handleType));
    std::shared_ptr<MemoryPool> pool;
    SOFTGPU_RETURN_IF_ERROR(MemoryPool::import_file(static_cast<int>(fd), &pool));
    *pool_out = pool->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData* shareData_out, CUdeviceptr ptr) {
  return initialised([&]() -> CUresult {
    const auto allocation = AllocationTable::instance().find(ptr);
    const bool of_pool = allocation && allocation->kind == MemoryKind::kPool;
    const auto pool = of_pool ? pool_of(*allocation) : nullptr;
    if (shareData_out == nullptr || !pool) return CUDA_ERROR_INVALID_VALUE;
    return pool->export_pointer(*allocation, shareData_out);
  });
}

CUresult cuMemPoolImportPointer(CUdeviceptr* ptr_out, CUmemoryPool pool, CUmemPoolPtrExportData* shareData) {
  return in_context([&](Context& context) -> CUresult {
    const auto found = live<MemoryPool>().find(pool);
    if (!found || ptr_out == nullptr || shareData == nullptr) return CUDA_ERROR_INVALID_VALUE;
    uint64_t address = 0;
    SOFTGPU_RETURN_IF_ERROR(found->import_pointer(context, *shareData, &address));
    *ptr_out = address;
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolDestroy(CUmemoryPool pool) {
  return with_pool(pool, [&](MemoryPool& found) -> CUresult {
    Device& device = found.device();
    if (device.default_pool().get() == &found) return CUDA_ERROR_INVALID_VALUE;
    if (device.current_pool().get() == &found) device.set_current_pool(device.default_pool());
    found.retire();
    return CUDA_SUCCESS;
  });
}

CUresult cuMemPoolSetAccess(CUmemoryPool pool, const CUmemAccessDesc* map, size_t count) {
  return with_pool(pool, [&](MemoryPool& found) -> CUresult {
    return map == nullptr && count != 0 ? CUDA_ERROR_INVALID_VALUE : found.set_access({map, count});
  });
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags* flags, CUmemoryPool memPool, CUmemLocation* location) {
  return with_pool(memPool, [&](MemoryPool& found) -> CUresult {
    return flags == nullptr || location == nullptr ? CUDA_ERROR_INVALID_VALUE
                                                   : found.get_access(*location, flags);
  });
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* pool_out, CUdevice dev) {
  return with_device(dev, [&](Device& device) -> CUresult {
    if (pool_out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pool_out = device.default_pool()->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceGetMemPool(CUmemoryPool* pool, CUdevice dev) {
  return with_device(dev, [&](Device& device) -> CUresult {
    if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pool = device.current_pool()->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool) {
  return with_device(dev, [&](Device& device) -> CUresult {
    auto found = live<MemoryPool>().find(pool);
    if (!found || &found->device() != &device || found->imported()) return CUDA_ERROR_INVALID_VALUE;
    device.set_current_pool(std::move(found));
    return CUDA_SUCCESS;
  });
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool* pool_out, CUmemLocation* location, CUmemAllocationType type) {
  const CUresult result = check_place(location, type);
  return result == CUDA_SUCCESS ? cuDeviceGetDefaultMemPool(pool_out, location->id) : result;
}
CUresult cuMemGetMemPool(CUmemoryPool* pool, CUmemLocation* location, CUmemAllocationType type) {
  const CUresult result = check_place(location, type);
  return result == CUDA_SUCCESS ? cuDeviceGetMemPool(pool, location->id) : result;
}
CUresult cuMemSetMemPool(CUmemLocation* location, CUmemAllocationType type, CUmemoryPool pool) {
  const CUresult result = check_place(location, type);
  return result == CUDA_SUCCESS ? cuDeviceSetMemPool(location->id, pool) : result;
}

}  // extern "C"
