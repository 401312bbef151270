// Memory: allocating, registering, pools, and what can be asked about an address.
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

CUdeviceptr pointer(World& w) { return w.get<CUdeviceptr>(Kind::kDevicePointer); }
CUmemoryPool pool(World& w) { return w.get<CUmemoryPool>(Kind::kPool); }

void must_not_succeed(World& w, const char* call, CUresult result) {
  if (w.note(call, result) != CUDA_SUCCESS) return;
  std::fprintf(stderr, "%s frees twice\n", call);
  std::abort();
}

void allocate(World& w) {
  CUdeviceptr made = 0;
  const size_t size = w.size();
  if (CALL(w, cuMemAlloc_v2, &made, size) == CUDA_SUCCESS) w.allocated(made, size);
}

void allocate_pitched(World& w) {
  CUdeviceptr made = 0;
  size_t pitch = 0;
  const size_t width = w.size(), height = w.size();
  constexpr unsigned kElements[] = {4, 8, 16, 4, 3, 0};
  if (CALL(w, cuMemAllocPitch_v2, &made, &pitch, width, height, w.bytes.one_of(kElements)) == CUDA_SUCCESS) {
    if (pitch < width) std::abort();
    w.allocated(made, pitch * height);
  }
}

void allocate_managed(World& w) {
  CUdeviceptr made = 0;
  const size_t size = w.size();
  if (CALL(w, cuMemAllocManaged, &made, size, w.bytes.below(6)) == CUDA_SUCCESS) w.allocated(made, size);
}

void free(World& w) {
  const CUdeviceptr address = pointer(w);
  if (CALL(w, cuMemFree_v2, address) != CUDA_SUCCESS || address == 0) return;
  w.freed(address);
  must_not_succeed(w, "cuMemFree_v2", cuMemFree_v2(address));
}

void allocate_async(World& w) {
  CUdeviceptr made = 0;
  const size_t size = w.size();
  const CUstream stream = w.stream();
  CUstreamCaptureStatus capturing = CU_STREAM_CAPTURE_STATUS_NONE;
  CALL(w, cuStreamIsCapturing, stream, &capturing);
  const CUresult result = w.bytes.coin() ? CALL(w, cuMemAllocAsync, &made, size, stream)
                                         : CALL(w, cuMemAllocFromPoolAsync, &made, size, pool(w), stream);
  if (result != CUDA_SUCCESS) return;
  if (capturing == CU_STREAM_CAPTURE_STATUS_NONE)
    w.allocated(made, size);
  else
    w.add(Kind::kDevicePointer, made);  // the graph's, and not there before it runs
}

void free_async(World& w) {
  const CUdeviceptr address = pointer(w);
  if (CALL(w, cuMemFreeAsync, address, w.stream()) == CUDA_SUCCESS) w.freed(address);
}

void create_pool(World& w) {
  CUmemPoolProps properties{};
  properties.allocType =
      w.bytes.below(8) == 0 ? CU_MEM_ALLOCATION_TYPE_INVALID : CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {w.bytes.below(8) == 0 ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE,
                         w.device()};
  properties.maxSize = w.bytes.coin() ? 0 : w.size();
  CUmemoryPool made = nullptr;
  if (CALL(w, cuMemPoolCreate, &made, &properties) == CUDA_SUCCESS) w.add(Kind::kPool, made);
}
void destroy_pool(World& w) { CALL(w, cuMemPoolDestroy, pool(w)); }
void trim_pool(World& w) { CALL(w, cuMemPoolTrimTo, pool(w), w.size()); }
void default_pool(World& w) {
  CUmemoryPool found = nullptr;
  if (CALL(w, cuDeviceGetDefaultMemPool, &found, w.device()) == CUDA_SUCCESS) w.add(Kind::kPool, found);
}
void set_pool(World& w) { CALL(w, cuDeviceSetMemPool, w.device(), pool(w)); }

void pool_attributes(World& w) {
  const auto attribute = static_cast<CUmemPool_attribute>(w.bytes.below(12));
  cuuint64_t value = w.size();
  const CUmemoryPool of = pool(w);
  CALL(w, cuMemPoolSetAttribute, of, attribute, &value);
  CALL(w, cuMemPoolGetAttribute, of, attribute, &value);
}

void pool_access(World& w) {
  CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, w.device()},
                         static_cast<CUmemAccess_flags>(w.bytes.below(5))};
  const CUmemoryPool of = pool(w);
  CALL(w, cuMemPoolSetAccess, of, &access, w.bytes.below(2));
  CALL(w, cuMemPoolGetAccess, &access.flags, of, &access.location);
}

// No more than machines have: pinned memory is the host's.
void allocate_pinned(World& w) {
  constexpr size_t kSizes[] = {2 * kMostHostBytes, 2 * kMostHostBytes, 0, ~0ull, ~0ull - 4095, 1ull << 62};
  void* made = nullptr;
  const size_t size = w.bytes.one_of(kSizes);
  if (CALL(w, cuMemHostAlloc, &made, size, w.bytes.below(9)) == CUDA_SUCCESS) w.pinned.push_back(made);
}

void free_pinned(World& w) {
  void* memory = w.pinned.empty() ? host_buffer() : w.pinned[w.bytes.byte() % w.pinned.size()];
  if (CALL(w, cuMemFreeHost, memory) != CUDA_SUCCESS) return;
  std::erase(w.pinned, memory);
  must_not_succeed(w, "cuMemFreeHost", cuMemFreeHost(memory));
}

void register_host(World& w) { CALL(w, cuMemHostRegister_v2, w.host(), w.small_size(), w.bytes.below(18)); }
void unregister_host(World& w) { CALL(w, cuMemHostUnregister, w.host()); }
void ask_host(World& w) {
  CUdeviceptr device = 0;
  unsigned flags = 0;
  CALL(w, cuMemHostGetDevicePointer_v2, &device, w.host(), w.bytes.below(2));
  CALL(w, cuMemHostGetFlags, &flags, w.host());
}

void ask_pointer(World& w) {
  CUdeviceptr base = 0;
  size_t size = 0, free = 0;
  const CUdeviceptr address = w.device_pointer();
  CALL(w, cuMemGetAddressRange_v2, &base, &size, address);
  CALL(w, cuMemGetInfo_v2, &free, &size);
  alignas(16) uint8_t value[64];
  CALL(w, cuPointerGetAttribute, value, static_cast<CUpointer_attribute>(w.bytes.below(24)), address);
  unsigned flag = w.bytes.below(3);
  CALL(w, cuPointerSetAttribute, &flag, static_cast<CUpointer_attribute>(w.bytes.below(24)), address);
  CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_RANGE_SIZE,
                                      static_cast<CUpointer_attribute>(w.bytes.below(24))};
  alignas(16) uint8_t values[3][64];
  void* places[] = {values[0], values[1], values[2]};
  CALL(w, cuPointerGetAttributes, 3, attributes, places, address);
}

void managed_hints(World& w) {
  const CUdeviceptr address = w.device_pointer();
  const size_t size = w.size();
  const CUmemLocation place{static_cast<CUmemLocationType>(w.bytes.below(6)), w.device()};
  CALL(w, cuMemAdvise_v2, address, size, static_cast<CUmem_advise>(w.bytes.below(8)), place);
  CALL(w, cuMemPrefetchAsync_v2, address, size, place, 0, w.stream());
  CALL(w, cuStreamAttachMemAsync, w.stream(), address, w.bytes.coin() ? 0 : size, w.bytes.below(6));
  int value[4]{};
  CALL(w, cuMemRangeGetAttribute, value, w.bytes.below(5) * 4,
       static_cast<CUmem_range_attribute>(w.bytes.below(10)), address, size);
}

void graph_memory(World& w) {
  CALL(w, cuDeviceGraphMemTrim, w.device());
  cuuint64_t value = 0;
  const auto attribute = static_cast<CUgraphMem_attribute>(w.bytes.below(5));
  CALL(w, cuDeviceGetGraphMemAttribute, w.device(), attribute, &value);
  value = w.bytes.below(2);
  CALL(w, cuDeviceSetGraphMemAttribute, w.device(), attribute, &value);
}

}  // namespace

std::span<const Call> memory_calls() {
  static constexpr Call kCalls[] = {
      allocate,       allocate,       allocate_pitched, allocate_managed, free,        free,
      allocate_async, allocate_async, free_async,       free_async,       create_pool, destroy_pool,
      trim_pool,      default_pool,   set_pool,         pool_attributes,  pool_access, allocate_pinned,
      free_pinned,    register_host,  unregister_host,  ask_host,         ask_pointer, managed_hints,
      graph_memory};
  return kCalls;
}

}  // namespace tessera::fuzz
