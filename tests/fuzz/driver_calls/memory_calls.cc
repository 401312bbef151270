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
  constexpr size_t kHeights[] = {1, 4, 100};
  const size_t width = w.size(), height = w.bytes.rarely() ? w.size() : w.bytes.one_of(kHeights);
  constexpr unsigned kElements[] = {4, 8, 16}, kWrong[] = {3, 0};
  if (CALL(w, cuMemAllocPitch_v2, &made, &pitch, width, height, w.bytes.one_of(kElements, kWrong)) ==
      CUDA_SUCCESS) {
    if (pitch < width) std::abort();
    w.allocated(made, pitch * height);
  }
}

void allocate_managed(World& w) {
  CUdeviceptr made = 0;
  const size_t size = w.size();
  constexpr unsigned kFlags[] = {CU_MEM_ATTACH_GLOBAL, CU_MEM_ATTACH_HOST}, kWrong[] = {0, 3, 4, 5};
  if (CALL(w, cuMemAllocManaged, &made, size, w.bytes.one_of(kFlags, kWrong)) != CUDA_SUCCESS) return;
  w.allocated(made, size);
  w.managed.push_back({made, size});
}

void free(World& w) {
  const CUdeviceptr address = pointer(w);
  if (CALL(w, cuMemFree_v2, address) != CUDA_SUCCESS || address == 0) return;
  w.freed(address);
  std::erase_if(w.managed, [&](const Span& each) { return each.begin == address; });
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
  properties.allocType = w.bytes.rarely() ? CU_MEM_ALLOCATION_TYPE_INVALID : CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {w.bytes.rarely() ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE,
                         w.device()};
  properties.maxSize = w.bytes.coin() ? 0 : w.size();
  CUmemoryPool made = nullptr;
  if (CALL(w, cuMemPoolCreate, &made, &properties) == CUDA_SUCCESS) w.add(Kind::kPool, made);
}
void destroy_pool(World& w) {
  const CUmemoryPool old = pool(w);
  if (CALL(w, cuMemPoolDestroy, old) == CUDA_SUCCESS) w.gone(Kind::kPool, old);
}
void trim_pool(World& w) { CALL(w, cuMemPoolTrimTo, pool(w), w.size()); }
void default_pool(World& w) {
  CUmemoryPool found = nullptr;
  if (CALL(w, cuDeviceGetDefaultMemPool, &found, w.device()) == CUDA_SUCCESS) w.add(Kind::kPool, found);
}
void set_pool(World& w) { CALL(w, cuDeviceSetMemPool, w.device(), pool(w)); }

void pool_attributes(World& w) {
  constexpr cuuint64_t kValues[] = {0, 1};
  constexpr CUmemPool_attribute kChangeable[] = {
      CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES,
      CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, CU_MEMPOOL_ATTR_USED_MEM_HIGH};
  const auto any =
      static_cast<CUmemPool_attribute>(w.bytes.rarely() ? w.bytes.below(12) : 1 + w.bytes.below(8));
  const CUmemPool_attribute changed = w.bytes.rarely() ? any : w.bytes.one_of(kChangeable);
  cuuint64_t value = w.bytes.one_of(kValues);
  if (changed == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) value = w.size();
  const CUmemoryPool of = pool(w);
  CALL(w, cuMemPoolSetAttribute, of, changed, &value);
  CALL(w, cuMemPoolGetAttribute, of, any, &value);
}

void pool_access(World& w) {
  constexpr CUmemAccess_flags kFlags[] = {CU_MEM_ACCESS_FLAGS_PROT_READ, CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
                                          CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
                                          CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  constexpr CUmemAccess_flags kWrong[] = {CU_MEM_ACCESS_FLAGS_PROT_NONE, static_cast<CUmemAccess_flags>(2),
                                          static_cast<CUmemAccess_flags>(4)};
  CUmemAccessDesc access{{CU_MEM_LOCATION_TYPE_DEVICE, w.device()}, w.bytes.one_of(kFlags, kWrong)};
  const CUmemoryPool of = pool(w);
  CALL(w, cuMemPoolSetAccess, of, &access, !w.bytes.rarely());
  CALL(w, cuMemPoolGetAccess, &access.flags, of, &access.location);
}

// No more than machines have: pinned memory is the host's.
void allocate_pinned(World& w) {
  constexpr size_t kSizes[] = {2 * kMostHostBytes}, kWrong[] = {0, ~0ull, ~0ull - 4095, 1ull << 62};
  void* made = nullptr;
  const size_t size = w.bytes.one_of(kSizes, kWrong);
  const unsigned flags = w.bytes.rarely() ? 8 : w.bytes.below(8);
  if (CALL(w, cuMemHostAlloc, &made, size, flags) == CUDA_SUCCESS) w.pinned.push_back(made);
}

void free_pinned(World& w) {
  if (w.pinned.empty() && !w.bytes.rarely()) allocate_pinned(w);
  void* memory = w.pinned.empty() ? host_buffer() : w.pinned[w.bytes.byte() % w.pinned.size()];
  if (CALL(w, cuMemFreeHost, memory) != CUDA_SUCCESS) return;
  std::erase(w.pinned, memory);
  must_not_succeed(w, "cuMemFreeHost", cuMemFreeHost(memory));
}

// Places that do not touch each other, but for a few.
void register_host(World& w) {
  constexpr size_t kPlaces = 8;
  std::byte* place = w.bytes.rarely() ? w.host() : host_buffer() + w.bytes.below(kPlaces) * kMostHostBytes;
  constexpr unsigned kFlags[] = {0, CU_MEMHOSTREGISTER_PORTABLE, CU_MEMHOSTREGISTER_DEVICEMAP,
                                 CU_MEMHOSTREGISTER_READ_ONLY};
  constexpr unsigned kWrong[] = {CU_MEMHOSTREGISTER_IOMEMORY, 16, 17};
  if (CALL(w, cuMemHostRegister_v2, place, w.small_size(), w.bytes.one_of(kFlags, kWrong)) == CUDA_SUCCESS)
    w.registered.push_back(place);
}
std::byte* known_host(World& w) {
  if (w.bytes.rarely()) return w.host();
  if (!w.pinned.empty() && w.bytes.coin())
    return static_cast<std::byte*>(w.pinned[w.bytes.byte() % w.pinned.size()]);
  if (w.registered.empty()) register_host(w);
  return w.registered.empty() ? w.host() : w.registered[w.bytes.byte() % w.registered.size()];
}
void unregister_host(World& w) {
  std::byte* place = known_host(w);
  if (CALL(w, cuMemHostUnregister, place) == CUDA_SUCCESS) std::erase(w.registered, place);
}
void ask_host(World& w) {
  CUdeviceptr device = 0;
  unsigned flags = 0;
  CALL(w, cuMemHostGetDevicePointer_v2, &device, known_host(w), w.bytes.rarely());
  CALL(w, cuMemHostGetFlags, &flags, known_host(w));
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
  const auto set = w.bytes.rarely() ? static_cast<CUpointer_attribute>(w.bytes.below(24))
                                    : CU_POINTER_ATTRIBUTE_SYNC_MEMOPS;
  CALL(w, cuPointerSetAttribute, &flag, set, address);
  CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_RANGE_SIZE,
                                      static_cast<CUpointer_attribute>(w.bytes.below(24))};
  alignas(16) uint8_t values[3][64];
  void* places[] = {values[0], values[1], values[2]};
  CALL(w, cuPointerGetAttributes, 3, attributes, places, address);
}

Span managed(World& w) {
  if (w.bytes.rarely()) return {w.device_pointer(), w.size()};
  if (w.managed.empty()) allocate_managed(w);
  return w.managed.empty() ? Span{} : w.managed[w.bytes.byte() % w.managed.size()];
}

void managed_hints(World& w) {
  const Span memory = managed(w);
  CUmemLocation place{CU_MEM_LOCATION_TYPE_DEVICE, w.device()};
  if (w.bytes.below(4) == 0) place.type = CU_MEM_LOCATION_TYPE_HOST;
  if (w.bytes.rarely()) place.type = static_cast<CUmemLocationType>(w.bytes.below(6));
  const auto advice = static_cast<CUmem_advise>(w.bytes.rarely() ? w.bytes.below(8) : 1 + w.bytes.below(6));
  CALL(w, cuMemAdvise_v2, memory.begin, memory.size, advice, place);
  CALL(w, cuMemPrefetchAsync_v2, memory.begin, memory.size, place, 0, w.stream());
  constexpr unsigned kAttach[] = {CU_MEM_ATTACH_GLOBAL, CU_MEM_ATTACH_HOST, CU_MEM_ATTACH_SINGLE};
  const unsigned attach = w.bytes.rarely() ? w.bytes.below(6) : w.bytes.one_of(kAttach);
  CALL(w, cuStreamAttachMemAsync, w.stream(), memory.begin, w.bytes.coin() ? 0 : memory.size, attach);
  int value[4]{};
  const auto asked =
      static_cast<CUmem_range_attribute>(w.bytes.rarely() ? w.bytes.below(10) : 1 + w.bytes.below(4));
  CALL(w, cuMemRangeGetAttribute, value, w.bytes.rarely() ? 3 : 4, asked, memory.begin, memory.size);
}

void graph_memory(World& w) {
  CALL(w, cuDeviceGraphMemTrim, w.device());
  cuuint64_t value = 0;
  CALL(w, cuDeviceGetGraphMemAttribute, w.device(), static_cast<CUgraphMem_attribute>(w.bytes.below(5)),
       &value);
  constexpr CUgraphMem_attribute kMarks[] = {CU_GRAPH_MEM_ATTR_USED_MEM_HIGH,
                                             CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH};
  value = w.bytes.rarely();
  CALL(w, cuDeviceSetGraphMemAttribute, w.device(),
       w.bytes.rarely() ? CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT : w.bytes.one_of(kMarks), &value);
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
