// Physical memory and its mappings (the driver's virtual memory management).
#include <fcntl.h>
#include <sys/stat.h>

#include "common/fd.h"
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

// The memory behind a descriptor, where that tells: a file's size. NVIDIA's descriptors are of a device.
uint64_t bytes_of(int descriptor) {
  struct stat info {};
  const bool tells = fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0;
  return tells ? static_cast<uint64_t>(info.st_size) : 0;
}

// Enters what was imported, on a device of the slice or the host's: an error where the slice has no room.
CUresult note_import(Tenant& tenant, CUmemGenericAllocationHandle handle, uint64_t bytes) {
  CUmemAllocationProp properties{};
  CUresult result = lower().cuMemGetAllocationPropertiesFromHandle(&properties, handle);
  if (result != CUDA_SUCCESS || properties.location.type != CU_MEM_LOCATION_TYPE_DEVICE) return result;
  uint32_t device = 0;
  result = active_vgpu->device_of(tenant, properties.location.id, device);
  if (result != CUDA_SUCCESS) return result;
  if (!tenant.physical.has(handle)) {
    result = bytes > 0 ? charge(tenant, device, bytes) : CUDA_SUCCESS;
    if (result != CUDA_SUCCESS) return result;
    tenant.account->counters(device).allocations.fetch_add(1, std::memory_order_relaxed);
  }
  tenant.physical.imported(handle, {bytes, device, nullptr});
  return CUDA_SUCCESS;
}

// Charged now where its size is known, else when it is mapped; see physical_ledger.h.
CUresult import(CUmemGenericAllocationHandle* handle, void* os_handle, CUmemAllocationHandleType type) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  UniqueFd own;  // what is measured is what is imported, whatever other threads do with the number
  uint64_t bytes = 0;
  if (type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    own.reset(fcntl(static_cast<int>(reinterpret_cast<intptr_t>(os_handle)), F_DUPFD_CLOEXEC, 0));
    if (own) {
      bytes = bytes_of(own.get());
      os_handle = reinterpret_cast<void*>(static_cast<intptr_t>(own.get()));
    }
  }
  std::lock_guard lock(tenant->physical_mutex);
  std::lock_guard unmeasured(tenant->overhead_mutex);  // held from now on, and charged later
  CUresult result = lower().cuMemImportFromShareableHandle(handle, os_handle, type);
  if (result != CUDA_SUCCESS) return result;
  result = note_import(*tenant, *handle, bytes);
  if (result != CUDA_SUCCESS) (void)lower().cuMemRelease(*handle);
  return result;
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
