// Stream-ordered memory. It is charged and credited when the call is made, not when the stream gets there: a
// program that frees on one stream and allocates on another is held to the order of its calls. What a pool
// keeps after a free is not charged.
//
// Where memory can leave the device (Residency) what would be of the device's default pool is: it moves as
// all does. Pools that programs make stay the driver's, as their memory may be other processes' and peers'.
#include <algorithm>

#include "common/log.h"
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

// Null stream: the calling thread's device.
CUresult device_of_stream(const Tenant& tenant, CUstream stream, uint32_t& device) {
  CUdevice ordinal;
  bool known = tenant.account->device_count() > 1 && stream != nullptr &&
               lower().cuStreamGetDevice != nullptr &&
               lower().cuStreamGetDevice(stream, &ordinal) == CUDA_SUCCESS;
  return known ? active_vgpu->device_of(tenant, ordinal, device)
               : active_vgpu->current_device(tenant, device);
}

template <typename Allocate>
CUresult allocate_in_order(Tenant& tenant, uint32_t device, CUdeviceptr* dptr, size_t bytesize,
                           Allocate allocate) {
  return allocate_charged(tenant, device, charged_bytes(bytesize), [&](ChargeKey& key) {
    CUresult result = allocate();
    if (result == CUDA_SUCCESS) key = {ChargeKind::kMemory, *dptr};
    return result;
  });
}

// A captured allocation is a node of a graph, and charged with the launches of that.
template <auto IsCapturing>
bool captured(CUstream stream) {
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  return lower().*IsCapturing != nullptr && (lower().*IsCapturing)(stream, &status) == CUDA_SUCCESS &&
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

// Of a device whose memory moves: in what order of which the memory is to be used; none: it is the driver's.
// `pool`: null: the one that the device allocates from.
std::optional<memory::StreamId> movable_order(const Tenant& tenant, uint32_t device, CUmemoryPool pool,
                                              CUstream stream) {
  if (tenant.residencies[device] == nullptr) return std::nullopt;
  const auto& indices = tenant.device_of_ordinal;
  const auto ordinal =
      static_cast<CUdevice>(std::find(indices.begin(), indices.end(), device) - indices.begin());
  CUmemoryPool standard = nullptr;
  if (lower().cuDeviceGetDefaultMemPool(&standard, ordinal) != CUDA_SUCCESS) return std::nullopt;
  if (pool == nullptr && lower().cuDeviceGetMemPool(&pool, ordinal) != CUDA_SUCCESS) return std::nullopt;
  return pool == standard ? tenant.residencies[device]->streams().number_of(stream) : std::nullopt;
}

template <auto Entry, auto IsCapturing, bool kPerThread>
CUresult alloc_async(CUdeviceptr* dptr, size_t bytesize, CUstream stream) {
  if (dptr == nullptr || bytesize == 0 || captured<IsCapturing>(stream)) {
    return (lower().*Entry)(dptr, bytesize, stream);
  }
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  uint32_t device;
  CUresult result = device_of_stream(*tenant, stream, device);
  if (result != CUDA_SUCCESS) return result;
  if (const auto order = movable_order(*tenant, device, nullptr, shared_handle(stream, kPerThread)))
    return alloc_movable(*tenant, device, order, dptr, bytesize);
  return allocate_in_order(*tenant, device, dptr, bytesize,
                           [&] { return (lower().*Entry)(dptr, bytesize, stream); });
}

template <auto Entry, auto IsCapturing, bool kPerThread>
CUresult alloc_from_pool(CUdeviceptr* dptr, size_t bytesize, CUmemoryPool pool, CUstream stream) {
  auto allocate = [&] { return (lower().*Entry)(dptr, bytesize, pool, stream); };
  if (dptr == nullptr || bytesize == 0 || captured<IsCapturing>(stream)) return allocate();
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return CUDA_ERROR_NOT_INITIALIZED;
  std::optional<CUmemLocation> location;
  {
    std::lock_guard lock(tenant->pool_mutex);
    auto found = tenant->pools.find(pool);
    if (found != tenant->pools.end()) location = found->second;
  }
  if (location && location->type != CU_MEM_LOCATION_TYPE_DEVICE) return allocate();
  uint32_t device;
  CUresult result = location ? active_vgpu->device_of(*tenant, location->id, device)
                             : device_of_stream(*tenant, stream, device);
  if (result != CUDA_SUCCESS) return result;
  if (const auto order = movable_order(*tenant, device, pool, shared_handle(stream, kPerThread)))
    return alloc_movable(*tenant, device, order, dptr, bytesize);
  return allocate_in_order(*tenant, device, dptr, bytesize, allocate);
}

// What a graph frees it must have been told of: the driver knows nothing of such memory.
CUresult free_movable_in_order(Tenant& tenant, const Charge& charge, CUdeviceptr dptr, CUstream stream) {
  const Status freed = tenant.residencies[charge.device]->streams().free(stream, dptr);
  if (!freed.ok()) {
    LOG_ERROR("vgpu", "%s", freed.message().c_str());
    return CUDA_ERROR_INVALID_VALUE;
  }
  credit(tenant, charge);
  return CUDA_SUCCESS;
}

template <auto Entry, auto IsCapturing, bool kPerThread>
CUresult free_async(CUdeviceptr dptr, CUstream stream) {
  const ChargeKey key{ChargeKind::kMemory, dptr};
  Tenant* tenant = active_vgpu->tenant();
  std::optional<Charge> charge = tenant != nullptr ? tenant->charges.take(key) : std::nullopt;
  const bool movable = charge && charge->is_movable;
  if (movable && !captured<IsCapturing>(stream))
    return free_movable_in_order(*tenant, *charge, dptr, shared_handle(stream, kPerThread));
  if (charge) tenant->charges.insert(key, *charge);
  if (movable) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  return free_charged(key, [&] { return (lower().*Entry)(dptr, stream); });
}

CUresult pool_create(CUmemoryPool* pool, const CUmemPoolProps* properties) {
  CUresult result = lower().cuMemPoolCreate(pool, properties);
  Tenant* tenant = active_vgpu->tenant();
  if (result == CUDA_SUCCESS && tenant != nullptr) {
    std::lock_guard lock(tenant->pool_mutex);
    tenant->pools[*pool] = properties->location;
  }
  return result;
}

CUresult pool_destroy(CUmemoryPool pool) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return lower().cuMemPoolDestroy(pool);
  // Under the lock: the driver may give the handle to the next pool at once.
  std::lock_guard lock(tenant->pool_mutex);
  CUresult result = lower().cuMemPoolDestroy(pool);
  if (result == CUDA_SUCCESS) tenant->pools.erase(pool);
  return result;
}

}  // namespace

void install_pool_calls(DriverTable& upper, const DriverTable& lower) {
  using T = DriverTable;
  replace<&T::cuMemAllocAsync, &alloc_async<&T::cuMemAllocAsync, &T::cuStreamIsCapturing, false>>(upper,
                                                                                                  lower);
  replace<&T::cuMemAllocAsync_ptsz,
          &alloc_async<&T::cuMemAllocAsync_ptsz, &T::cuStreamIsCapturing_ptsz, true>>(upper, lower);
  replace<&T::cuMemAllocFromPoolAsync,
          &alloc_from_pool<&T::cuMemAllocFromPoolAsync, &T::cuStreamIsCapturing, false>>(upper, lower);
  replace<&T::cuMemAllocFromPoolAsync_ptsz,
          &alloc_from_pool<&T::cuMemAllocFromPoolAsync_ptsz, &T::cuStreamIsCapturing_ptsz, true>>(upper,
                                                                                                  lower);
  replace<&T::cuMemFreeAsync, &free_async<&T::cuMemFreeAsync, &T::cuStreamIsCapturing, false>>(upper, lower);
  replace<&T::cuMemFreeAsync_ptsz, &free_async<&T::cuMemFreeAsync_ptsz, &T::cuStreamIsCapturing_ptsz, true>>(
      upper, lower);
  replace<&T::cuMemPoolCreate, &pool_create>(upper, lower);
  replace<&T::cuMemPoolDestroy, &pool_destroy>(upper, lower);
}

}  // namespace tessera::vgpu
