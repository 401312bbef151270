#include "softgpu/memory/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "common/size.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kPageBytes = 4096;

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

}  // namespace

Result<std::unique_ptr<Arena>> Arena::reserve(uint64_t size, const std::string& name, PageSize pages) {
  size = (size + kChunkBytes - 1) / kChunkBytes * kChunkBytes;
  TESSERA_ASSIGN_OR_RETURN(ReservedAddresses addresses, ReservedAddresses::take(size, kChunkBytes));
  TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<MemoryFile> file, MemoryFile::create(name, size));
  TESSERA_RETURN_IF_ERROR(file->map_without_access(addresses.begin(), 0, size));
  return std::unique_ptr<Arena>(new Arena(std::move(addresses), std::move(file), pages));
}

Arena::Arena(ReservedAddresses addresses, std::shared_ptr<MemoryFile> file, PageSize pages)
    : addresses_(std::move(addresses)),
      file_(std::move(file)),
      base_(addresses_.begin()),
      pages_(pages),
      ranges_(base_, addresses_.size(), kGranularity),
      users_(addresses_.size() / kChunkBytes) {}

Status Arena::commit(RangeAllocator::Range range) {
  const uint64_t first = (range.begin - base_) / kChunkBytes;
  const uint64_t last = (range.end() - 1 - base_) / kChunkBytes;
  for (uint64_t chunk = first; chunk <= last;) {
    uint64_t end = chunk;  // a run of chunks that nobody uses yet
    while (end <= last && users_[end] == 0) ++end;
    if (end > chunk && mprotect(pointer(base_ + chunk * kChunkBytes), (end - chunk) * kChunkBytes,
                                PROT_READ | PROT_WRITE) != 0) {
      return Status::from_errno(errno, "cannot use %s of memory",
                                format_size((end - chunk) * kChunkBytes).c_str());
    }
    chunk = std::max(end, chunk + 1);
  }
  if (pages_ == PageSize::kHuge && range.size >= kChunkBytes)
    MemoryFile::advise_huge(base_ + first * kChunkBytes, (last + 1 - first) * kChunkBytes);
  for (uint64_t chunk = first; chunk <= last; ++chunk) ++users_[chunk];
  return {};
}

void Arena::decommit(RangeAllocator::Range range, RangeAllocator::Range hole) {
  const uint64_t first = (range.begin - base_) / kChunkBytes;
  const uint64_t last = (range.end() - 1 - base_) / kChunkBytes;
  // Whole pages that lie in the hole, as far as there are any by this range: a huge one is a chunk.
  const uint64_t begin =
      std::max(base_ + first * kChunkBytes, (hole.begin + kPageBytes - 1) / kPageBytes * kPageBytes);
  const uint64_t end = std::min(base_ + (last + 1) * kChunkBytes, hole.end() / kPageBytes * kPageBytes);
  if (begin < end) file_->discard_mapped(pointer(begin), begin - base_, end - begin);
  for (uint64_t chunk = first; chunk <= last; ++chunk) {
    assert(users_[chunk] > 0);
    --users_[chunk];
  }
  for (uint64_t chunk = first; chunk <= last;) {
    uint64_t after = chunk;
    while (after <= last && users_[after] == 0) ++after;
    if (after > chunk)
      mprotect(pointer(base_ + chunk * kChunkBytes), (after - chunk) * kChunkBytes, PROT_NONE);
    chunk = std::max(after, chunk + 1);
  }
}

Result<RangeAllocator::Range> Arena::allocate(uint64_t size, uint64_t alignment) {
  auto range = ranges_.allocate(size, alignment);
  if (!range) {
    return Status::error(Code::kResourceExhausted,
                         "no hole of %s among the device's addresses; the largest is %s",
                         format_size(size).c_str(), format_size(ranges_.largest_free()).c_str());
  }
  if (Status status = commit(*range); !status.ok()) {
    ranges_.free(*range);
    return status;
  }
  return *range;
}

void Arena::free(RangeAllocator::Range range) {
  const RangeAllocator::Range hole = ranges_.free(range);
  decommit(range, hole);
}

}  // namespace tessera::softgpu
