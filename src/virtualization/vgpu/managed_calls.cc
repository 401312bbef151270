// Managed memory. What of it is on a device is charged, where the driver can be told how much that may be;
// with NVIDIA's, all of it: what a program may touch there at once is what the slice must hold.
#include <algorithm>
#include <functional>

#include "common/log.h"
#include "common/size.h"
#include "cuda/managed_memory_table.h"
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

const cuda::ManagedMemoryTable* managed_memory_table() {
  static const cuda::ManagedMemoryTable* const found = [] {
    const void* table = nullptr;
    if (lower().cuGetExportTable == nullptr ||
        lower().cuGetExportTable(&table, &cuda::kManagedMemoryTable) != CUDA_SUCCESS || table == nullptr) {
      return static_cast<const cuda::ManagedMemoryTable*>(nullptr);
    }
    const auto* managed = static_cast<const cuda::ManagedMemoryTable*>(table);
    return managed->bytes >= sizeof(*managed) ? managed : nullptr;
  }();
  return found;
}

// Less is on the device before it is the slice's to give again.
void apply(Tenant& tenant, uint32_t device, const ManagedBudget::Change& change) {
  const auto& indices = tenant.device_of_ordinal;
  const auto ordinal =
      static_cast<CUdevice>(std::find(indices.begin(), indices.end(), device) - indices.begin());
  const CUresult result = managed_memory_table()->set_limit(ordinal, change.limit);
  if (result != CUDA_SUCCESS) LOG_ERROR("vgpu", "the driver keeps managed memory to no limit (%u)", result);
  if (change.credit != 0) tenant.account->credit(device, change.credit);
}

// Charges all of it, or what the slice has left; how much. 0: too little to work with.
uint64_t charge_some(Tenant& tenant, uint32_t device, uint64_t bytes) {
  Account& account = *tenant.account;
  const uint64_t limit = account.limit_bytes(device);
  const uint64_t own = std::min(account.own_used_bytes(device), limit);
  if (bytes <= limit - own) return try_charge_alone(tenant, device, bytes).ok() ? bytes : 0;
  const uint64_t used = std::min(account.slice_used_bytes(device), limit);
  const uint64_t least =
      tenant.managed.charged(device) >= ManagedBudget::kLeastBytes ? 0 : ManagedBudget::kLeastBytes;
  // Other processes of the slice may be faster.
  for (uint64_t rest = std::min(bytes, limit - used); rest > 0 && rest >= least; rest /= 2)
    if (try_charge_alone(tenant, device, rest).ok()) return rest;
  return 0;
}

// Under managed_mutex.
CUresult alloc_as_far_as_it_goes(Tenant& tenant, uint32_t device, uint64_t bytes,
                                 const std::function<CUresult()>& allocate) {
  const uint64_t charged = charge_some(tenant, device, bytes);
  if (charged == 0 && tenant.managed.charged(device) < ManagedBudget::kLeastBytes) {
    return tell_refusal(Status::error(
        Code::kResourceExhausted,
        "%s of managed memory refused: slice %s has less than %s left on the device for its pages",
        format_size(bytes).c_str(), tenant.account->slice_name(),
        format_size(ManagedBudget::kLeastBytes).c_str()));
  }
  apply(tenant, device, tenant.managed.allocated(device, bytes, charged));
  const CUresult result = allocate();
  if (result != CUDA_SUCCESS) apply(tenant, device, tenant.managed.freed(device, bytes));
  if (result == CUDA_SUCCESS && charged < bytes) {
    LOG_INFO("vgpu",
             "of %llu bytes of managed memory the slice has room for %llu on the device: pages come and go",
             static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(charged));
  }
  return result;
}

CUresult alloc_within_slice(Tenant& tenant, uint32_t device, CUdeviceptr* dptr, size_t bytesize,
                            unsigned int flags) {
  if (bytesize > ManagedBudget::kMostBytes) {
    return tell_refusal(Status::error(Code::kResourceExhausted,
                                      "%s of managed memory refused: no address space holds so much",
                                      format_size(bytesize).c_str()));
  }
  const uint64_t bytes = charged_bytes(bytesize);
  CUresult result;
  {
    std::lock_guard lock(tenant.managed_mutex);
    result = alloc_as_far_as_it_goes(tenant, device, bytes,
                                     [&] { return lower().cuMemAllocManaged(dptr, bytesize, flags); });
  }
  if (result == CUDA_SUCCESS)
    record(tenant, {ChargeKind::kMemory, *dptr}, {.bytes = bytes, .device = device, .is_managed = true});
  return result;
}

CUresult alloc_managed(CUdeviceptr* dptr, size_t bytesize, unsigned int flags) {
  if (dptr == nullptr || bytesize == 0) return lower().cuMemAllocManaged(dptr, bytesize, flags);
  if (managed_memory_table() == nullptr) {
    return allocate_here(charged_bytes(bytesize), [&](ChargeKey& key) {
      CUresult result = lower().cuMemAllocManaged(dptr, bytesize, flags);
      if (result == CUDA_SUCCESS) key = {ChargeKind::kMemory, *dptr};
      return result;
    });
  }
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  uint32_t device;
  const CUresult result = active_vgpu->current_device(*tenant, device);
  return result == CUDA_SUCCESS ? alloc_within_slice(*tenant, device, dptr, bytesize, flags) : result;
}

}  // namespace

void managed_freed(Tenant& tenant, const Charge& charge) {
  std::lock_guard lock(tenant.managed_mutex);
  apply(tenant, charge.device, tenant.managed.freed(charge.device, charge.bytes));
}

bool give_up_managed(Tenant& tenant, uint32_t device, uint64_t bytes) {
  std::lock_guard lock(tenant.managed_mutex);
  const ManagedBudget::Change change = tenant.managed.give_up(device, bytes);
  if (change.credit == 0) return false;
  apply(tenant, device, change);
  return true;
}

void install_managed_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuMemAllocManaged, &alloc_managed>(upper, lower);
}

}  // namespace tessera::vgpu
