// Stream-ordered allocation (cuMemAllocAsync): memory that is freed in the order of a stream is kept, and
// given out again where that order, or the end of the work before it, makes it safe.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "cuda/abi.h"
#include "softgpu/driver/op.h"
#include "softgpu/memory/allocation_table.h"
#include "softgpu/memory/range_allocator.h"

namespace tessera::softgpu {

class Context;
class Device;
class Stream;

class MemoryPool : public std::enable_shared_from_this<MemoryPool> {
 public:
  // `shareable`: with other processes.
  static std::shared_ptr<MemoryPool> create(Device& device, bool shareable = false);
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  CUmemoryPool handle() const { return reinterpret_cast<CUmemoryPool>(handle_); }
  Device& device() const { return device_; }

  // Sharing, in pool_sharing.cc. CUDA_ERROR_INVALID_VALUE where the pool is not shareable, or is another
  // process's; for import_file() where the descriptor is no pool's of a device of this process.
  CUresult export_file(int* fd) const;
  static CUresult import_file(int fd, std::shared_ptr<MemoryPool>* pool);
  CUresult export_pointer(const Allocation& allocation, CUmemPoolPtrExportData* data) const;
  // Into a pool of import_file(): it is freed as the pool's own is, and belongs to `context`.
  CUresult import_pointer(Context& context, const CUmemPoolPtrExportData& data, uint64_t* address);
  // Another process's: gives out no memory of its own.
  bool imported() const { return imported_; }

  // Usable in `stream` at once, elsewhere after whatever orders it behind this point of the stream.
  CUresult allocate(Stream& stream, uint64_t size, uint64_t* address);
  // The block may be used again in `stream` at once, elsewhere when the work before this point has finished.
  void free(Stream& stream, const Allocation& allocation);
  // The block may be used again at once: nothing runs that could touch it.
  void free_now(const Allocation& allocation);
  // Gives idle blocks back to the device until at most `keep` bytes are held.
  void trim(uint64_t keep);
  // At points of synchronisation: trims to the release threshold.
  void trim_to_threshold();

  // cuMemPoolDestroy: the handle is gone at once, the pool when its memory is.
  void retire();

  // Which devices' kernels see the memory of the pool, now and later. The own device always does.
  // CUDA_ERROR_INVALID_VALUE where there is no such device, and nothing is changed.
  CUresult set_access(std::span<const CUmemAccessDesc> wanted);
  CUresult get_access(const CUmemLocation& location, CUmemAccess_flags* flags) const;

  CUresult get_attribute(CUmemPool_attribute attribute, void* value) const;
  CUresult set_attribute(CUmemPool_attribute attribute, const void* value);

 private:
  class FreeMarker;
  struct FreeBlock {
    RangeAllocator::Range range;
    std::shared_ptr<FreeMarker> after;  // null: nothing to wait for
    uint64_t stream_id = 0;             // in this stream `after` is in order anyway
    bool shared = false;  // with another process: given back as soon as it is idle, never out again
  };

  MemoryPool(Device& device, uint64_t share_id, bool imported);
  static std::shared_ptr<MemoryPool> enter(std::shared_ptr<MemoryPool> pool);
  void enter_allocation(const Context& context, RangeAllocator::Range range, uint64_t size);
  void count_reserved_locked(RangeAllocator::Range range);
  CUresult check_access(const CUmemAccessDesc& wanted) const;
  CUmemAccess_flags access_to_locked(const Device& device) const;
  void map_locked(RangeAllocator::Range range);
  void unmap_locked(RangeAllocator::Range range);
  bool take_cached_locked(uint64_t size, uint64_t stream_id, RangeAllocator::Range* range);
  CUresult take_new(uint64_t size, RangeAllocator::Range* range);
  static bool idle(const FreeBlock& block);
  void keep(FreeBlock block);
  void free_has_passed();
  void trim_locked(uint64_t keep);

  Device& device_;
  const uintptr_t handle_;
  const uint64_t share_id_;  // by which processes know it; 0: not shareable
  const bool imported_;
  mutable std::mutex mutex_;
  std::list<FreeBlock> free_;
  std::map<uint64_t, uint64_t> mapped_;           // all it holds: begin and end
  std::map<int, CUmemAccess_flags> peer_access_;  // by ordinal; none where it is missing
  uint64_t reserved_ = 0, reserved_high_ = 0;
  uint64_t used_ = 0, used_high_ = 0;
  uint64_t release_threshold_ = 0;
  bool retired_ = false;
  int reuse_flags_[3] = {1, 1, 1};  // attributes 1 to 3: kept, as reuse here follows the strictest of them
};

// Of memory from a pool; a destroyed one too.
std::shared_ptr<MemoryPool> pool_of(const Allocation& allocation);
// cuMemFreeAsync of any device memory, in the order of `stream`. CUDA_ERROR_INVALID_VALUE where none begins
// there.
CUresult free_in_order(Stream& stream, uint64_t address);
// cuMemFree of memory from a pool; nothing runs that could touch it.
CUresult free_to_pool_now(uint64_t address);
// The same for an allocation that is out of the table already.
void return_to_pool(const Allocation& allocation);
// Every pool of every device: called at points of synchronisation.
void trim_pools(Device& device);

}  // namespace tessera::softgpu
