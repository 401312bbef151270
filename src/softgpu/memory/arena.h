// The addresses of one device in this process: reserved once, made readable and writable as they are used,
// and given back to the operating system when they are freed.
//
// Access is switched on in chunks, counted by the allocations that touch them: per-allocation protection
// would split the mapping at every allocation, and the kernel bounds the number of mappings. The memory is a
// file's, so that another process can map any part of it.
//
// Allocations of a chunk and more get huge pages where the system has them. The last page of one may then
// bring memory that lies behind its end: it goes back with the allocation, as all of a hole does within the
// chunks that are touched.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "softgpu/memory/memory_file.h"
#include "softgpu/memory/range_allocator.h"
#include "softgpu/memory/reserved_addresses.h"

namespace tessera::softgpu {

class Arena {
 public:
  static constexpr uint64_t kGranularity = 512;      // sizes and places of allocations
  static constexpr uint64_t kChunkBytes = 2u << 20;  // switching access

  // kSmall: for what may be more than the machine has, of which little is touched here and there.
  enum class PageSize : uint8_t { kHuge, kSmall };
  // Reserves `size` bytes of address space; no memory is used yet. A forked child does not get it.
  static Result<std::unique_ptr<Arena>> reserve(uint64_t size, const std::string& name = "softgpu-arena",
                                                PageSize pages = PageSize::kHuge);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Not thread-safe. kResourceExhausted where no hole is large enough or the machine refuses the memory.
  Result<RangeAllocator::Range> allocate(uint64_t size, uint64_t alignment);
  void free(RangeAllocator::Range range);

  bool contains(uint64_t address) const { return addresses_.contains(address); }
  const MemoryFile& file() const { return *file_; }
  uint64_t offset_of(uint64_t address) const { return address - base_; }  // in the file

 private:
  Arena(ReservedAddresses addresses, std::shared_ptr<MemoryFile> file, PageSize pages);
  Status commit(RangeAllocator::Range range);
  void decommit(RangeAllocator::Range range, RangeAllocator::Range hole);

  const ReservedAddresses addresses_;
  const std::shared_ptr<MemoryFile> file_;
  const uint64_t base_;
  const PageSize pages_;
  RangeAllocator ranges_;
  std::vector<uint32_t> users_;  // of each chunk
};

}  // namespace tessera::softgpu
