// Physical memory and its mappings (the driver's virtual memory management).
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

// Runs a call and its entry in the ledger as one step; see physical_ledger.h.
template <typename Call, typename Note>
CUresult with_ledger(Call call, Note note) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return call();
  std::lock_guard lock(tenant->physical_mutex);
  CUresult result = call();
  if (result == CUDA_SUCCESS) note(*tenant, tenant->physical);
  return result;
}

CUresult create(CUmemGenericAllocationHandle* handle, size_t size, const CUmemAllocationProp* prop,
                unsigned long long flags) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  // Memory of the host is no GPU's.
  if (handle == nullptr || prop == nullptr || prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return lower().cuMemCreate(handle, size, prop, flags);
  }
  uint32_t device;
  CUresult result = active_vgpu->device_of(*tenant, prop->location.id, device);
  if (result != CUDA_SUCCESS) return result;
  result = charge(*tenant, device, size);
  if (result != CUDA_SUCCESS) return result;
  result = lower().cuMemCreate(handle, size, prop, flags);
  if (result != CUDA_SUCCESS) {
    tenant->account->credit(device, size);
    return result;
  }
  tenant->account->counters(device).allocations.fetch_add(1, std::memory_order_relaxed);
  std::lock_guard lock(tenant->physical_mutex);
  tenant->physical.created(*handle, {size, device, nullptr});
  return CUDA_SUCCESS;
}

CUresult release(CUmemGenericAllocationHandle handle) {
  return with_ledger([&] { return lower().cuMemRelease(handle); },
                     [&](Tenant& tenant, PhysicalLedger& ledger) {
                       if (auto ended = ledger.released(handle)) credit(tenant, *ended);
                     });
}

CUresult retain(CUmemGenericAllocationHandle* handle, void* address) {
  return with_ledger([&] { return lower().cuMemRetainAllocationHandle(handle, address); },
                     [&](Tenant&, PhysicalLedger& ledger) { ledger.retained(*handle); });
}

// Charged when it is mapped, see physical_ledger.h; counted as an allocation now.
CUresult import(CUmemGenericAllocationHandle* handle, void* os_handle, CUmemAllocationHandleType type) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  std::lock_guard lock(tenant->physical_mutex);
  std::lock_guard unmeasured(tenant->overhead_mutex);  // held from now on, and charged later
  CUresult result = lower().cuMemImportFromShareableHandle(handle, os_handle, type);
  if (result != CUDA_SUCCESS) return result;
  CUmemAllocationProp properties{};
  uint32_t device = 0;
  result = lower().cuMemGetAllocationPropertiesFromHandle(&properties, *handle);
  const bool of_device = properties.location.type == CU_MEM_LOCATION_TYPE_DEVICE;
  if (result == CUDA_SUCCESS && of_device)
    result = active_vgpu->device_of(*tenant, properties.location.id, device);
  if (result != CUDA_SUCCESS) {
    (void)lower().cuMemRelease(*handle);
    return result;
  }
  if (of_device && tenant->physical.imported(*handle, device))
    tenant->account->counters(device).allocations.fetch_add(1, std::memory_order_relaxed);
  return CUDA_SUCCESS;
}

CUresult map(CUdeviceptr address, size_t size, size_t offset, CUmemGenericAllocationHandle handle,
             unsigned long long flags) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return lower().cuMemMap(address, size, offset, handle, flags);
  std::lock_guard lock(tenant->physical_mutex);
  const std::optional<Charge> more = tenant->physical.uncharged(handle, size);
  std::unique_lock unmeasured(tenant->overhead_mutex, std::defer_lock);
  if (more) unmeasured.lock();  // charged, and held before: no measurement may see but one of the two
  CUresult result = more ? charge(*tenant, more->device, more->bytes) : CUDA_SUCCESS;
  if (result != CUDA_SUCCESS) return result;
  result = lower().cuMemMap(address, size, offset, handle, flags);
  if (result != CUDA_SUCCESS) {
    if (more) tenant->account->credit(more->device, more->bytes);
    return result;
  }
  if (more) tenant->physical.charged(handle, more->bytes);
  tenant->physical.mapped(address, size, handle);
  return CUDA_SUCCESS;
}

CUresult unmap(CUdeviceptr address, size_t size) {
  return with_ledger([&] { return lower().cuMemUnmap(address, size); },
                     [&](Tenant& tenant, PhysicalLedger& ledger) {
                       for (const Charge& ended : ledger.unmapped(address, size)) credit(tenant, ended);
                     });
}

}  // namespace

void install_physical_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuMemCreate, &create>(upper, lower);
  replace<&DriverTable::cuMemRelease, &release>(upper, lower);
  replace<&DriverTable::cuMemRetainAllocationHandle, &retain>(upper, lower);
  replace<&DriverTable::cuMemImportFromShareableHandle, &import>(upper, lower);
  replace<&DriverTable::cuMemMap, &map>(upper, lower);
  replace<&DriverTable::cuMemUnmap, &unmap>(upper, lower);
}

}  // namespace tessera::vgpu
