// Linear memory, in its 64-bit forms and those of CUDA 2.
#include <limits>
#include <type_traits>

#include "common/log.h"
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

ChargeKey memory_key(uint64_t address) { return {ChargeKind::kMemory, address}; }

// Of the calling thread's device, where memory can leave it; null elsewhere.
Residency* residency_here(Tenant*& tenant, uint32_t& device) {
  tenant = active_vgpu->tenant();
  if (tenant == nullptr || active_vgpu->current_device(*tenant, device) != CUDA_SUCCESS) return nullptr;
  return tenant->residencies[device].get();
}

// While a stream is captured most programs must neither allocate nor free, and it is for the driver to judge:
// it is asked with some memory of its own. Otherwise it tells whether the context is there and has not
// failed.
CUresult would_driver_refuse(const Tenant& tenant, bool in_order) {
  if (in_order || tenant.captures.load() == 0) {
    size_t free, total;
    return lower().cuMemGetInfo_v2(&free, &total);
  }
  CUdeviceptr probe;
  const CUresult result = lower().cuMemAlloc_v2(&probe, 1);
  return result == CUDA_SUCCESS ? lower().cuMemFree_v2(probe) : result;
}

// What was freed in the order of streams can be used again as they have come along; and while streams were
// captured, once the device has done its work.
void reuse_deferred(const Tenant& tenant, Residency& residency) {
  if (tenant.captures.load() != 0) return;
  residency.streams().look();
  if (!residency.has_deferred()) return;
  if (lower().cuCtxSynchronize() == CUDA_SUCCESS) residency.free_deferred();
}

template <auto Entry, typename Pointer, typename Size>
CUresult alloc(Pointer* dptr, Size bytesize) {
  if (dptr == nullptr || bytesize == 0) return (lower().*Entry)(dptr, bytesize);
  if constexpr (std::is_same_v<Pointer, CUdeviceptr>) {
    Tenant* tenant;
    uint32_t device;
    if (residency_here(tenant, device) != nullptr) return alloc_movable(*tenant, device, {}, dptr, bytesize);
  }
  return allocate_here(charged_bytes(bytesize), [&](ChargeKey& key) {
    CUresult result = (lower().*Entry)(dptr, bytesize);
    if (result == CUDA_SUCCESS) key = memory_key(*dptr);
    return result;
  });
}

uint64_t multiply(uint64_t a, uint64_t b) {
  uint64_t product;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<uint64_t>::max() : product;
}

// The pitch is the driver's choice: what it is expected to be is charged first, and the difference once it is
// known.
template <auto Entry, auto Free, typename Pointer, typename Size>
CUresult alloc_pitch(Pointer* dptr, Size* pitch, Size width, Size height, unsigned int element_bytes) {
  if (dptr == nullptr || pitch == nullptr || width == 0 || height == 0) {
    return (lower().*Entry)(dptr, pitch, width, height, element_bytes);
  }
  if constexpr (std::is_same_v<Pointer, CUdeviceptr>) {
    Tenant* tenant;
    uint32_t device;
    const bool known_element = element_bytes == 4 || element_bytes == 8 || element_bytes == 16;
    if (residency_here(tenant, device) != nullptr && known_element) {
      const uint64_t row =
          charged_bytes(width);  // the pitch of every device so far is a multiple of 512 bytes
      const CUresult result = alloc_movable(*tenant, device, {}, dptr, multiply(row, height));
      if (result == CUDA_SUCCESS) *pitch = row;
      return result;
    }
  }
  uint64_t expected = multiply(charged_bytes(width), height);
  CUresult result = allocate_here(expected, [&](ChargeKey& key) {
    CUresult made = (lower().*Entry)(dptr, pitch, width, height, element_bytes);
    if (made == CUDA_SUCCESS) key = memory_key(*dptr);
    return made;
  });
  uint64_t taken = charged_bytes(multiply(*pitch, height));
  if (result != CUDA_SUCCESS || taken <= expected) return result;
  Tenant& tenant = *active_vgpu->tenant();
  auto recorded = tenant.charges.take(memory_key(*dptr));
  if (!recorded) return CUDA_SUCCESS;  // freed by another thread already
  if (charge(tenant, recorded->device, taken - expected) != CUDA_SUCCESS) {
    (lower().*Free)(*dptr);
    credit(tenant, *recorded);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  recorded->bytes = taken;
  tenant.charges.insert(memory_key(*dptr), *recorded);
  return CUDA_SUCCESS;
}

template <auto Entry, typename Pointer>
CUresult free_memory(Pointer dptr) {
  return free_charged(memory_key(dptr), [&] { return (lower().*Entry)(dptr); });
}

}  // namespace

CUresult alloc_movable(Tenant& tenant, uint32_t device, std::optional<memory::StreamId> stream,
                       CUdeviceptr* dptr, size_t bytesize) {
  Residency& residency = *tenant.residencies[device];
  CUresult result = would_driver_refuse(tenant, stream.has_value());
  if (result == CUDA_SUCCESS) reuse_deferred(tenant, residency);
  if (result == CUDA_SUCCESS) result = charge_limit(tenant, device, charged_bytes(bytesize));
  if (result != CUDA_SUCCESS) return result;
  Result<uint64_t> address = residency.allocate(bytesize, stream);
  // What is freed already, in the order of streams, may be enough.
  if (!address.ok() && tenant.captures.load() == 0 && residency.streams().wait())
    address = residency.allocate(bytesize, stream);
  if (!address.ok()) {
    tenant.account->credit(device, BudgetKind::kLimit, charged_bytes(bytesize));
    return tell_refusal(address.status());
  }
  *dptr = *address;
  record(tenant, memory_key(*dptr), {.bytes = charged_bytes(bytesize), .device = device, .is_movable = true});
  return CUDA_SUCCESS;
}

// The driver's own free waits for the context's work: kernels may use the memory until then.
CUresult free_movable(Tenant& tenant, ChargeKey key, const Charge& charge) {
  Residency& residency = *tenant.residencies[charge.device];
  if (tenant.captures.load() != 0) {
    const CUresult driver_says = would_driver_refuse(tenant, false);
    if (driver_says != CUDA_SUCCESS) return driver_says;
    residency.defer_free(key.value);
    credit(tenant, charge);
    return CUDA_SUCCESS;
  }
  CUcontext before;
  if (charge.context != nullptr && lower().cuCtxPushCurrent_v2(charge.context) == CUDA_SUCCESS) {
    (void)lower()
        .cuCtxSynchronize();  // an error of the context is another call's to tell; the memory goes anyway
    (void)lower().cuCtxPopCurrent_v2(&before);
  }
  const Status freed = residency.free(key.value);
  if (!freed.ok()) {
    LOG_ERROR("vgpu", "%s", freed.message().c_str());
    return CUDA_ERROR_INVALID_VALUE;
  }
  credit(tenant, charge);
  return CUDA_SUCCESS;
}

void install_memory_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuMemAlloc_v2, &alloc<&DriverTable::cuMemAlloc_v2, CUdeviceptr, size_t>>(upper,
                                                                                                 lower);
  replace<&DriverTable::cuMemAlloc, &alloc<&DriverTable::cuMemAlloc, CUdeviceptr_v1, unsigned int>>(upper,
                                                                                                    lower);
  replace<&DriverTable::cuMemAllocPitch_v2,
          &alloc_pitch<&DriverTable::cuMemAllocPitch_v2, &DriverTable::cuMemFree_v2, CUdeviceptr, size_t>>(
      upper, lower);
  replace<&DriverTable::cuMemAllocPitch,
          &alloc_pitch<&DriverTable::cuMemAllocPitch, &DriverTable::cuMemFree, CUdeviceptr_v1, unsigned int>>(
      upper, lower);
  replace<&DriverTable::cuMemFree_v2, &free_memory<&DriverTable::cuMemFree_v2, CUdeviceptr>>(upper, lower);
  replace<&DriverTable::cuMemFree, &free_memory<&DriverTable::cuMemFree, CUdeviceptr_v1>>(upper, lower);
}

}  // namespace tessera::vgpu
