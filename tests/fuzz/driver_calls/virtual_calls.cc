// Virtual memory management, with export and import inside one process.
#include <unistd.h>

#include <iterator>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

constexpr size_t kGranule = 2 << 20;

CUdeviceptr wrong_address(World& w) {
  constexpr size_t kOffsets[] = {0, kGranule, 2 * kGranule, 4096, ~0ull & ~(kGranule - 1)};
  return w.get<CUdeviceptr>(Kind::kVirtualPointer) + w.bytes.one_of(kOffsets);
}
CUmemGenericAllocationHandle physical(World& w) {
  return w.get<CUmemGenericAllocationHandle>(Kind::kPhysical);
}

size_t granules(World& w) {
  constexpr size_t kSizes[] = {kGranule, kGranule, 2 * kGranule, 4 * kGranule};
  constexpr size_t kWrong[] = {32 * kGranule, 4096, 0, 1ull << 62, ~0ull};
  return w.bytes.one_of(kSizes, kWrong);
}

Span wrong_span(World& w) { return {wrong_address(w), granules(w)}; }

Span reservation(World& w) {
  if (w.reservations.empty()) make(w, Kind::kVirtualPointer);
  if (w.reservations.empty() || w.bytes.rarely()) return wrong_span(w);
  return w.reservations[w.bytes.byte() % w.reservations.size()];
}

Span mapping(World& w) {
  if (w.mappings.empty()) make_mapping(w);
  if (w.mappings.empty() || w.bytes.rarely()) return wrong_span(w);
  return w.mappings[w.bytes.byte() % w.mappings.size()];
}

void reserve(World& w) {
  constexpr size_t kAlignments[] = {0, 0, kGranule, 4 * kGranule}, kWrong[] = {3, 1ull << 40, 1ull << 63};
  const size_t size = granules(w);
  const size_t alignment = w.bytes.one_of(kAlignments, kWrong);
  const CUdeviceptr wish = w.bytes.below(4) != 0 ? 0 : wrong_address(w);
  CUdeviceptr made = 0;
  if (CALL(w, cuMemAddressReserve, &made, size, alignment, wish, w.bytes.rarely()) != CUDA_SUCCESS) return;
  w.add(Kind::kVirtualPointer, made);
  w.reservations.push_back({made, size});
}

void free_reserved(World& w) {
  const auto [begin, size] = reservation(w);
  if (CALL(w, cuMemAddressFree, begin, size) != CUDA_SUCCESS) return;
  w.gone(Kind::kVirtualPointer, begin);
  std::erase_if(w.reservations, [begin = begin](const Span& range) { return range.begin == begin; });
}

CUmemAllocationProp properties(World& w) {
  CUmemAllocationProp wanted{};
  wanted.type = w.bytes.rarely() ? CU_MEM_ALLOCATION_TYPE_INVALID : CU_MEM_ALLOCATION_TYPE_PINNED;
  constexpr CUmemAllocationHandleType kTypes[] = {CU_MEM_HANDLE_TYPE_NONE,
                                                  CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR};
  constexpr CUmemAllocationHandleType kWrong[] = {CU_MEM_HANDLE_TYPE_FABRIC};
  wanted.requestedHandleTypes = w.bytes.one_of(kTypes, kWrong);
  wanted.location = {CU_MEM_LOCATION_TYPE_DEVICE, w.device()};
  return wanted;
}

void create(World& w) {
  const CUmemAllocationProp wanted = properties(w);
  const size_t size = granules(w);
  CUmemGenericAllocationHandle made = 0;
  if (CALL(w, cuMemCreate, &made, size, &wanted, 0) != CUDA_SUCCESS) return;
  w.add(Kind::kPhysical, made);
  w.physical_sizes[made] = size;
}
// Clean-up releases what is mapped or taken several times.
void release(World& w) {
  const CUmemGenericAllocationHandle old = physical(w);
  if (CALL(w, cuMemRelease, old) == CUDA_SUCCESS) w.gone(Kind::kPhysical, old);
}

void map(World& w) {
  const CUmemGenericAllocationHandle memory = physical(w);
  Span target = reservation(w);
  const auto known = w.physical_sizes.find(memory);
  if (known != w.physical_sizes.end() && !w.bytes.rarely()) {
    const size_t places = target.size > known->second ? (target.size - known->second) / kGranule + 1 : 1;
    target = {target.begin + w.bytes.byte() % places * kGranule, known->second};
  }
  constexpr size_t kOffsets[] = {0}, kWrong[] = {kGranule, 1};
  if (CALL(w, cuMemMap, target.begin, target.size, w.bytes.one_of(kOffsets, kWrong), memory, 0) !=
      CUDA_SUCCESS)
    return;
  w.mappings.push_back(target);
  const CUmemAccessDesc all{{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  if (w.bytes.coin()) CALL(w, cuMemSetAccess, target.begin, target.size, &all, 1);
}

void unmap(World& w) {
  const auto [begin, size] = mapping(w);
  if (CALL(w, cuMemUnmap, begin, size) != CUDA_SUCCESS) return;
  std::erase_if(w.mappings, [begin = begin, size = size](const Span& range) {
    return range.begin >= begin && range.begin - begin < size;
  });
}

void access(World& w) {
  const auto [begin, size] = mapping(w);
  constexpr CUmemAccess_flags kFlags[] = {CU_MEM_ACCESS_FLAGS_PROT_READWRITE, CU_MEM_ACCESS_FLAGS_PROT_READ,
                                          CU_MEM_ACCESS_FLAGS_PROT_NONE};
  constexpr CUmemAccess_flags kWrong[] = {static_cast<CUmemAccess_flags>(2)};
  const CUmemAccessDesc wanted[] = {
      {{CU_MEM_LOCATION_TYPE_DEVICE, w.device()}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE},
      {{CU_MEM_LOCATION_TYPE_DEVICE, w.device()}, w.bytes.one_of(kFlags, kWrong)}};
  CALL(w, cuMemSetAccess, begin, size, wanted, 1 + w.bytes.below(2));
  unsigned long long flags = 0;
  CALL(w, cuMemGetAccess, &flags, &wanted[0].location, begin);
}

void retain(World& w) {
  CUmemGenericAllocationHandle found = 0;
  void* address = reinterpret_cast<void*>(mapping(w).begin);
  if (CALL(w, cuMemRetainAllocationHandle, &found, address) == CUDA_SUCCESS) w.add(Kind::kPhysical, found);
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
       static_cast<CUmemAllocationGranularity_flags>(w.bytes.rarely() ? 2 : w.bytes.below(2)));
}

}  // namespace

std::span<const Call> virtual_calls() {
  static constexpr Call kCalls[] = {reserve, reserve, free_reserved, create, create, release, map,
                                    map,     unmap,   access,        access, retain, share,   ask};
  return kCalls;
}

}  // namespace tessera::fuzz
