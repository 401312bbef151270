// Memory of other processes, by handles. This process can keep it longer than the one that made it, so it is
// charged here too: once, for as long as it is open. The driver does not tell whose slice it comes from.
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

ChargeKey memory_key(uint64_t address) { return {ChargeKind::kMemory, address}; }

CUresult facts_of(Tenant& tenant, CUdeviceptr address, uint32_t& device, size_t& bytes) {
  CUdevice ordinal = 0;
  CUresult result = lower().cuMemGetAddressRange_v2(nullptr, &bytes, address);
  if (result == CUDA_SUCCESS)
    result = lower().cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address);
  return result == CUDA_SUCCESS ? active_vgpu->device_of(tenant, ordinal, device) : result;
}

CUresult charge_import(Tenant& tenant, CUdeviceptr address) {
  uint32_t device = 0;
  size_t bytes = 0;
  CUresult result = facts_of(tenant, address, device, bytes);
  if (result == CUDA_SUCCESS) result = charge(tenant, device, charged_bytes(bytes));
  if (result == CUDA_SUCCESS) record(tenant, memory_key(address), device, charged_bytes(bytes));
  return result;
}

template <auto Entry>
CUresult open(CUdeviceptr* dptr, CUipcMemHandle handle, unsigned int flags) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  std::lock_guard lock(tenant->import_mutex);
  std::lock_guard unmeasured(
      tenant->overhead_mutex);  // held before it is charged: not to be taken for overhead
  CUresult result = (lower().*Entry)(dptr, handle, flags);
  if (result != CUDA_SUCCESS) return result;
  if (auto known = tenant->charges.take(memory_key(*dptr))) {
    ++known->times;
    tenant->charges.insert(memory_key(*dptr), *known);
    return CUDA_SUCCESS;
  }
  result = charge_import(*tenant, *dptr);
  if (result != CUDA_SUCCESS) (void)lower().cuIpcCloseMemHandle(*dptr);
  return result;
}

CUresult close(CUdeviceptr dptr) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  std::lock_guard lock(tenant->import_mutex);
  std::optional<Charge> charge = tenant->charges.take(memory_key(dptr));
  CUresult result = lower().cuIpcCloseMemHandle(dptr);
  if (!charge) return result;
  if (result == CUDA_SUCCESS && --charge->times == 0) {
    credit(*tenant, *charge);
  } else {
    tenant->charges.insert(memory_key(dptr), *charge);
  }
  return result;
}

CUresult import_pointer(CUdeviceptr* ptr, CUmemoryPool pool, CUmemPoolPtrExportData* data) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  std::lock_guard lock(tenant->import_mutex);
  std::lock_guard unmeasured(tenant->overhead_mutex);
  CUresult result = lower().cuMemPoolImportPointer(ptr, pool, data);
  if (result != CUDA_SUCCESS) return result;
  result = charge_import(*tenant, *ptr);
  if (result != CUDA_SUCCESS) (void)lower().cuMemFree_v2(*ptr);
  return result;
}

}  // namespace

void install_ipc_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuIpcOpenMemHandle_v2, &open<&DriverTable::cuIpcOpenMemHandle_v2>>(upper, lower);
  replace<&DriverTable::cuIpcOpenMemHandle, &open<&DriverTable::cuIpcOpenMemHandle>>(upper, lower);
  replace<&DriverTable::cuIpcCloseMemHandle, &close>(upper, lower);
  replace<&DriverTable::cuMemPoolImportPointer, &import_pointer>(upper, lower);
}

}  // namespace tessera::vgpu
