// Virtual memory management, with export and import inside one process.
#include <unistd.h>

#include <iterator>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

constexpr size_t kGranule = 2 << 20;

CUdeviceptr address(World& w) {
  constexpr size_t kOffsets[] = {0, 0, 0, kGranule, 2 * kGranule, 4096, ~0ull & ~(kGranule - 1)};
  return w.get<CUdeviceptr>(Kind::kVirtualPointer) + w.bytes.one_of(kOffsets);
}
CUmemGenericAllocationHandle physical(World& w) {
  return w.get<CUmemGenericAllocationHandle>(Kind::kPhysical);
}

size_t granules(World& w) {
  constexpr size_t kSizes[] = {kGranule, kGranule, 2 * kGranule, 4 * kGranule, 32 * kGranule,
                               4096,     0,        1ull << 62,   ~0ull};
  return w.bytes.one_of(kSizes);
}

void reserve(World& w) {
  constexpr size_t kAlignments[] = {0, 0, kGranule, 4 * kGranule, 3, 1ull << 40, 1ull << 63};
  const size_t size = granules(w);
  const size_t alignment = w.bytes.one_of(kAlignments);
  const CUdeviceptr wish = w.bytes.coin() ? 0 : address(w);
  CUdeviceptr made = 0;
  if (CALL(w, cuMemAddressReserve, &made, size, alignment, wish, w.bytes.below(16) == 0) != CUDA_SUCCESS)
    return;
  w.add(Kind::kVirtualPointer, made);
  w.reservations.push_back({made, size});
}

void free_reserved(World& w) {
  const CUdeviceptr begin = address(w);
  const size_t size = granules(w);
  if (CALL(w, cuMemAddressFree, begin, size) == CUDA_SUCCESS)
    std::erase_if(w.reservations, [&](const World::Mapping& range) { return range.begin == begin; });
}

CUmemAllocationProp properties(World& w) {
  CUmemAllocationProp wanted{};
  wanted.type = w.bytes.below(16) == 0 ? CU_MEM_ALLOCATION_TYPE_INVALID : CU_MEM_ALLOCATION_TYPE_PINNED;
  constexpr CUmemAllocationHandleType kTypes[] = {
      CU_MEM_HANDLE_TYPE_NONE, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, CU_MEM_HANDLE_TYPE_FABRIC};
  wanted.requestedHandleTypes = w.bytes.one_of(kTypes);
  wanted.location = {CU_MEM_LOCATION_TYPE_DEVICE, w.device()};
  return wanted;
}

void create(World& w) {
  const CUmemAllocationProp wanted = properties(w);
  CUmemGenericAllocationHandle made = 0;
  if (CALL(w, cuMemCreate, &made, granules(w), &wanted, 0) == CUDA_SUCCESS) w.add(Kind::kPhysical, made);
}
void release(World& w) { CALL(w, cuMemRelease, physical(w)); }

void map(World& w) {
  const CUdeviceptr begin = address(w);
  const size_t size = granules(w);
  constexpr size_t kOffsets[] = {0, 0, 0, 0, kGranule, 1};
  if (CALL(w, cuMemMap, begin, size, w.bytes.one_of(kOffsets), physical(w), 0) == CUDA_SUCCESS)
    w.mappings.push_back({begin, size});
}

void unmap(World& w) {
  const CUdeviceptr begin = address(w);
  const size_t size = granules(w);
  if (CALL(w, cuMemUnmap, begin, size) == CUDA_SUCCESS)
    std::erase_if(w.mappings, [&](const World::Mapping& range) {
      return range.begin >= begin && range.begin - begin < size;
    });
}

void access(World& w) {
  const CUdeviceptr begin = address(w);
  const CUmemAccessDesc wanted[] = {
      {{CU_MEM_LOCATION_TYPE_DEVICE, w.device()}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE},
      {{CU_MEM_LOCATION_TYPE_DEVICE, w.device()}, static_cast<CUmemAccess_flags>(w.bytes.below(4))}};
  CALL(w, cuMemSetAccess, begin, granules(w), wanted, 1 + w.bytes.below(2));
  unsigned long long flags = 0;
  CALL(w, cuMemGetAccess, &flags, &wanted[0].location, begin);
}

void retain(World& w) {
  CUmemGenericAllocationHandle found = 0;
  if (CALL(w, cuMemRetainAllocationHandle, &found, reinterpret_cast<void*>(address(w))) == CUDA_SUCCESS)
    w.add(Kind::kPhysical, found);
}

void share(World& w) {
  int fd = -1;
  if (CALL(w, cuMemExportToShareableHandle, &fd, physical(w), CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0) ==
      CUDA_SUCCESS) {
    CUmemGenericAllocationHandle imported = 0;
    void* descriptor = reinterpret_cast<void*>(static_cast<uintptr_t>(static_cast<unsigned>(fd)));
    if (CALL(w, cuMemImportFromShareableHandle, &imported, descriptor,
             CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) == CUDA_SUCCESS)
      w.add(Kind::kPhysical, imported);
    close(fd);
  } else {  // a descriptor of something else
    CUmemGenericAllocationHandle imported = 0;
    void* descriptor = reinterpret_cast<void*>(static_cast<uintptr_t>(w.bytes.byte()));
    CALL(w, cuMemImportFromShareableHandle, &imported, descriptor, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
  }
}

void ask(World& w) {
  CUmemAllocationProp found{};
  size_t granularity = 0;
  CALL(w, cuMemGetAllocationPropertiesFromHandle, &found, physical(w));
  found = properties(w);
  CALL(w, cuMemGetAllocationGranularity, &granularity, &found,
       static_cast<CUmemAllocationGranularity_flags>(w.bytes.below(3)));
}

}  // namespace

std::span<const Call> virtual_calls() {
  static constexpr Call kCalls[] = {reserve, reserve, free_reserved, create, create, release, map,
                                    map,     unmap,   access,        access, retain, share,   ask};
  return kCalls;
}

}  // namespace tessera::fuzz
