// Linear and managed memory, in its 64-bit forms and those of CUDA 2.
#include <limits>

#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

ChargeKey memory_key(uint64_t address) { return {ChargeKind::kMemory, address}; }

template <auto Entry, typename Pointer, typename Size>
CUresult alloc(Pointer* dptr, Size bytesize) {
  if (dptr == nullptr || bytesize == 0) return (lower().*Entry)(dptr, bytesize);
  return allocate_here(charged_bytes(bytesize), [&](ChargeKey& key) {
    CUresult result = (lower().*Entry)(dptr, bytesize);
    if (result == CUDA_SUCCESS) key = memory_key(*dptr);
    return result;
  });
}

// Managed memory is charged in full where it is made, wherever its pages are: what a program may touch on the
// device at once is what the slice must hold.
CUresult alloc_managed(CUdeviceptr* dptr, size_t bytesize, unsigned int flags) {
  if (dptr == nullptr || bytesize == 0) return lower().cuMemAllocManaged(dptr, bytesize, flags);
  return allocate_here(charged_bytes(bytesize), [&](ChargeKey& key) {
    CUresult result = lower().cuMemAllocManaged(dptr, bytesize, flags);
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

void install_memory_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuMemAlloc_v2, &alloc<&DriverTable::cuMemAlloc_v2, CUdeviceptr, size_t>>(upper,
                                                                                                 lower);
  replace<&DriverTable::cuMemAlloc, &alloc<&DriverTable::cuMemAlloc, CUdeviceptr_v1, unsigned int>>(upper,
                                                                                                    lower);
  replace<&DriverTable::cuMemAllocManaged, &alloc_managed>(upper, lower);
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
