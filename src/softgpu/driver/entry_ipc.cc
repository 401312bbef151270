// Device memory and events between processes.
#include <cstring>

#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_memory.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/event.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/imported_memory.h"
#include "softgpu/driver/interprocess_event.h"
#include "softgpu/driver/ipc_handle.h"
#include "softgpu/memory/allocation_table.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

template <typename Handle>
void put_handle(Handle* out, const IpcHandle& handle) {
  static_assert(sizeof(Handle) == kIpcHandleBytes);
  const IpcHandleBytes bytes = handle.bytes();
  memcpy(out->reserved, bytes.data(), bytes.size());
}

CUresult export_allocation(CUipcMemHandle* handle, CUdeviceptr address) {
  const auto allocation = AllocationTable::instance().find(address);
  const bool of_program = allocation && allocation->owner == MemoryOwner::kProgram;
  if (!of_program || allocation->kind != MemoryKind::kDevice) return CUDA_ERROR_INVALID_VALUE;
  Device& device = *devices()[static_cast<size_t>(allocation->device)];
  const auto id =
      device.memory().export_range({allocation->range_begin, allocation->range_size}, allocation->size, 0);
  if (!id.ok()) return result_of_import(id.status());
  put_handle(handle, {IpcKind::kMemory, device.uuid(), *id, 0});
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

// Of the allocation that the address is in, whole: an importer gets its begin.
CUresult cuIpcGetMemHandle(CUipcMemHandle* pHandle, CUdeviceptr dptr) {
  return in_context([&](Context&) -> CUresult {
    return pHandle == nullptr ? CUDA_ERROR_INVALID_VALUE : export_allocation(pHandle, dptr);
  });
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* pdptr, CUipcMemHandle handle, unsigned int Flags) {
  return in_context([&](Context& context) -> CUresult {
    if (pdptr == nullptr || Flags != CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) return CUDA_ERROR_INVALID_VALUE;
    const auto named = IpcHandle::read(handle.reserved, IpcKind::kMemory);
    Device* device = named ? device_of(*named) : nullptr;
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    uint64_t address = 0;
    SOFTGPU_RETURN_IF_ERROR(ImportedMemory::instance().open(context, *device, named->id, &address));
    *pdptr = address;
    return CUDA_SUCCESS;
  });
}
CUresult cuIpcOpenMemHandle(CUdeviceptr* pdptr, CUipcMemHandle handle, unsigned int Flags) {
  return cuIpcOpenMemHandle_v2(pdptr, handle, Flags);
}

CUresult cuIpcCloseMemHandle(CUdeviceptr dptr) {
  return in_context([&](Context&) { return ImportedMemory::instance().close(dptr); });
}

CUresult cuIpcGetEventHandle(CUipcEventHandle* pHandle, CUevent event) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Event> found;
    SOFTGPU_RETURN_IF_ERROR(event_of(event, &found));
    if (pHandle == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (found->exportable() == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    put_handle(pHandle, found->exportable()->handle());
    return CUDA_SUCCESS;
  });
}

CUresult cuIpcOpenEventHandle(CUevent* phEvent, CUipcEventHandle handle) {
  return in_context([&](Context& context) -> CUresult {
    const auto named = IpcHandle::read(handle.reserved, IpcKind::kEvent);
    Device* device = named ? device_of(*named) : nullptr;
    if (phEvent == nullptr || device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    auto shared = InterprocessEvent::open(*device, named->id);
    if (!shared.ok()) return result_of_import(shared.status());
    auto event = std::make_shared<Event>(context.shared_from_this(), CU_EVENT_DISABLE_TIMING,
                                         std::move(shared).value());
    live<Event>().add(reinterpret_cast<uintptr_t>(event->handle()), event);
    *phEvent = event->handle();
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
