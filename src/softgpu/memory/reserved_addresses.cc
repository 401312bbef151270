#include "softgpu/memory/reserved_addresses.h"

#include <sys/mman.h>

#include <cassert>
#include <cerrno>
#include <limits>

#include "common/size.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr int kEmpty = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

}  // namespace

Result<ReservedAddresses> ReservedAddresses::take(uint64_t size, uint64_t alignment, uint64_t hint) {
  assert(size != 0 && size % kPageBytes == 0 && (alignment & (alignment - 1)) == 0 &&
         alignment >= kPageBytes);
  if (hint != 0 && hint % alignment == 0) {
    void* there = mmap(pointer(hint), size, PROT_NONE, kEmpty | MAP_FIXED_NOREPLACE, -1, 0);
    if (there != MAP_FAILED) {
      madvise(there, size, MADV_DONTFORK);
      return ReservedAddresses(hint, size);
    }
  }
  // As much more as lets an aligned begin be found inside.
  const uint64_t slack = alignment - kPageBytes;
  if (size > std::numeric_limits<uint64_t>::max() - slack) {
    return Status::error(Code::kResourceExhausted, "no room for %s of addresses", format_size(size).c_str());
  }
  void* mapping = mmap(nullptr, size + slack, PROT_NONE, kEmpty, -1, 0);
  if (mapping == MAP_FAILED)
    return Status::from_errno(errno, "cannot reserve %s of addresses", format_size(size).c_str());
  const uint64_t start = reinterpret_cast<uint64_t>(mapping);
  const uint64_t begin = (start + alignment - 1) / alignment * alignment;
  if (begin > start) munmap(mapping, begin - start);
  if (start + slack > begin) munmap(pointer(begin + size), start + slack - begin);
  madvise(pointer(begin), size, MADV_DONTFORK);
  return ReservedAddresses(begin, size);
}

ReservedAddresses::~ReservedAddresses() {
  if (size_ != 0) munmap(pointer(begin_), size_);
}

Status ReservedAddresses::clear(uint64_t begin, uint64_t size) const {
  assert(contains(begin) && size <= end() - begin);
  if (mmap(pointer(begin), size, PROT_NONE, kEmpty | MAP_FIXED, -1, 0) == MAP_FAILED)
    return Status::from_errno(errno, "cannot unmap %s", format_size(size).c_str());
  madvise(pointer(begin), size, MADV_DONTFORK);
  return {};
}

}  // namespace tessera::softgpu
