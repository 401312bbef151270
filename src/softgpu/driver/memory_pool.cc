#include "softgpu/driver/memory_pool.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <iterator>
#include <utility>
#include <vector>

#include "common/log.h"
#include "softgpu/device/shared_memory.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_memory.h"
#include "softgpu/driver/graph/graph_memory.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/memory.h"
#include "softgpu/driver/memory_use.h"
#include "softgpu/driver/state.h"
#include "softgpu/driver/stream.h"
#include "softgpu/driver/visibility.h"

namespace tessera::softgpu {
namespace {

// A cached block that is much larger than what is asked for would waste memory: at most twice as large.
bool fits(uint64_t block, uint64_t size) {
  return block >= size && block / 2 <= std::max<uint64_t>(size, Arena::kGranularity);
}

// Pools by handle as long as they hold memory: a destroyed one lives until its last allocation has been
// freed.
HandleRegistry<MemoryPool>& holders() {
  static auto* registry = new HandleRegistry<MemoryPool>();
  return *registry;
}

void map_on(Device& device, RangeAllocator::Range range, CUmemAccess_flags flags) {
  if (flags == CU_MEM_ACCESS_FLAGS_PROT_NONE) return;
  const bool writable = flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const Status status = device.addresses().insert({range.begin, range.end(), writable});
  assert(status.ok());
}

void unmap_on(Device& device, RangeAllocator::Range range, CUmemAccess_flags flags) {
  if (flags == CU_MEM_ACCESS_FLAGS_PROT_NONE) return;
  const Status status = device.addresses().erase(range.begin);
  assert(status.ok());
}

}  // namespace

// Where the free is in its stream. Of the pool it holds on to no longer than it must.
class MemoryPool::FreeMarker : public MarkerOp {
 public:
  explicit FreeMarker(std::shared_ptr<MemoryPool> pool) : pool_(std::move(pool)) {}
  void start(const std::shared_ptr<Op>& self) override {
    passed_.store(true, std::memory_order_release);
    std::exchange(pool_, nullptr)->free_has_passed();
    MarkerOp::start(self);
  }
  bool passed() const { return passed_.load(std::memory_order_acquire); }

 private:
  std::shared_ptr<MemoryPool> pool_;
  std::atomic<bool> passed_{false};
};

bool MemoryPool::idle(const FreeBlock& block) { return !block.after || block.after->passed(); }

MemoryPool::MemoryPool(Device& device, uint64_t share_id, bool imported)
    : device_(device), handle_(next_handle()), share_id_(share_id), imported_(imported) {}

// Mapped as long as the pool holds it: work ordered before a free may still touch it after the call.
void MemoryPool::map_locked(RangeAllocator::Range range) {
  mapped_.emplace(range.begin, range.end());
  for (Device* device : devices()) map_on(*device, range, access_to_locked(*device));
}

void MemoryPool::unmap_locked(RangeAllocator::Range range) {
  mapped_.erase(range.begin);
  for (Device* device : devices()) unmap_on(*device, range, access_to_locked(*device));
  wait_until_unused(range.begin, range.end());
}

std::shared_ptr<MemoryPool> MemoryPool::create(Device& device, bool shareable) {
  const uint64_t share_id = shareable ? unique_number(device.file()) : 0;
  return enter(std::shared_ptr<MemoryPool>(new MemoryPool(device, share_id, false)));
}

std::shared_ptr<MemoryPool> MemoryPool::enter(std::shared_ptr<MemoryPool> pool) {
  live<MemoryPool>().add(pool->handle_, pool);
  holders().add(pool->handle_, pool);
  return pool;
}

MemoryPool::~MemoryPool() { assert(used_ == 0); }

bool MemoryPool::take_cached_locked(uint64_t size, uint64_t stream_id, RangeAllocator::Range* range) {
  auto best = free_.end();
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    const bool safe = !it->shared && (idle(*it) || it->stream_id == stream_id);
    if (!safe || !fits(it->range.size, size)) continue;
    if (best == free_.end() || it->range.size < best->range.size) best = it;
  }
  if (best == free_.end()) return false;
  *range = best->range;
  free_.erase(best);
  return true;
}

CUresult MemoryPool::take_new(uint64_t size, RangeAllocator::Range* range) {
  auto taken = device_.memory().take(size);
  if (!taken.ok()) {
    // What the pool keeps may be what is missing, also where it has to be waited for.
    std::vector<OpRef> pending;
    {
      std::lock_guard lock(mutex_);
      for (const FreeBlock& block : free_) {
        if (!idle(block)) pending.push_back(block.after);
      }
    }
    for (const OpRef& op : pending) op->wait();
    trim(0);
    taken = device_.memory().take(size);
  }
  if (!taken.ok()) {
    LOG_INFO("memory", "%s", taken.status().message().c_str());
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *range = *taken;
  std::lock_guard lock(mutex_);
  count_reserved_locked(*range);
  return CUDA_SUCCESS;
}

void MemoryPool::count_reserved_locked(RangeAllocator::Range range) {
  map_locked(range);
  reserved_ += range.size;
  reserved_high_ = std::max(reserved_high_, reserved_);
}

CUresult MemoryPool::allocate(Stream& stream, uint64_t size, uint64_t* address) {
  if (imported_) return CUDA_ERROR_INVALID_VALUE;
  if (size == 0 || size > device_.total_memory())
    return size == 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OUT_OF_MEMORY;
  RangeAllocator::Range range;
  bool cached;
  {
    std::lock_guard lock(mutex_);
    cached = take_cached_locked(size, stream.id(), &range);
  }
  if (!cached) {
    const CUresult result = take_new(size, &range);
    if (result != CUDA_SUCCESS) return result;
  }
  enter_allocation(stream.context(), range, size);
  *address = range.begin;
  return CUDA_SUCCESS;
}

void MemoryPool::enter_allocation(const Context& context, RangeAllocator::Range range, uint64_t size) {
  Allocation allocation;
  allocation.begin = allocation.range_begin = range.begin;
  allocation.range_size = range.size;
  allocation.size = size;
  allocation.kind = MemoryKind::kPool;
  allocation.device = device_.ordinal();
  allocation.context = context.id();
  allocation.context_handle = reinterpret_cast<uintptr_t>(context.handle());
  allocation.pool_handle = handle_;
  allocation.handle_types =
      share_id_ != 0 ? CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR : CU_MEM_HANDLE_TYPE_NONE;
  Status status = AllocationTable::instance().insert(allocation);
  assert(status.ok());
  std::lock_guard lock(mutex_);
  used_ += range.size;
  used_high_ = std::max(used_high_, used_);
}

void MemoryPool::keep(FreeBlock block) {
  block.shared = share_id_ != 0 && device_.memory().is_shared(block.range);
  std::lock_guard lock(mutex_);
  used_ -= block.range.size;
  free_.push_back(std::move(block));
}

void MemoryPool::free(Stream& stream, const Allocation& allocation) {
  auto marker = std::make_shared<FreeMarker>(shared_from_this());
  keep({{allocation.range_begin, allocation.range_size}, marker, stream.id()});
  stream.submit(marker);
}

// Whoever destroyed the pool does not come back for what was not idle then.
void MemoryPool::free_has_passed() {
  {
    std::lock_guard lock(mutex_);
    if (!retired_) return;
  }
  trim_to_threshold();
}

void MemoryPool::free_now(const Allocation& allocation) {
  keep({{allocation.range_begin, allocation.range_size}, nullptr, 0});
  trim_to_threshold();
}

void MemoryPool::trim_locked(uint64_t keep) {
  for (auto it = free_.begin(); it != free_.end();) {
    if (!idle(*it) || (reserved_ <= keep && !it->shared)) {
      ++it;
      continue;
    }
    unmap_locked(it->range);
    device_.memory().give_back(it->range);
    reserved_ -= it->range.size;
    it = free_.erase(it);
  }
}

void MemoryPool::trim(uint64_t keep) {
  std::lock_guard lock(mutex_);
  trim_locked(keep);
}

void MemoryPool::trim_to_threshold() {
  std::shared_ptr<MemoryPool> self = shared_from_this();
  std::lock_guard lock(mutex_);
  trim_locked(release_threshold_);
  if (retired_ && reserved_ == 0) holders().remove(handle());
}

void MemoryPool::retire() {
  if (live<MemoryPool>().remove(handle()) == nullptr) return;
  {
    std::lock_guard lock(mutex_);
    retired_ = true;
    release_threshold_ = 0;
  }
  trim_to_threshold();
}

CUmemAccess_flags MemoryPool::access_to_locked(const Device& device) const {
  if (&device == &device_) return CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const auto found = peer_access_.find(device.ordinal());
  return found == peer_access_.end() ? CU_MEM_ACCESS_FLAGS_PROT_NONE : found->second;
}

CUresult MemoryPool::check_access(const CUmemAccessDesc& wanted) const {
  Device* device = nullptr;
  if (wanted.location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
      find_device(wanted.location.id, &device) != CUDA_SUCCESS)
    return CUDA_ERROR_INVALID_VALUE;
  const bool whole = wanted.flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const bool known =
      whole || wanted.flags == CU_MEM_ACCESS_FLAGS_PROT_READ || wanted.flags == CU_MEM_ACCESS_FLAGS_PROT_NONE;
  return known && (whole || device != &device_) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult MemoryPool::set_access(std::span<const CUmemAccessDesc> wanted) {
  for (const CUmemAccessDesc& each : wanted) {
    const CUresult result = check_access(each);
    if (result != CUDA_SUCCESS) return result;
  }
  for (const CUmemAccessDesc& each : wanted) {
    Device& device = *devices()[static_cast<size_t>(each.location.id)];
    if (&device == &device_) continue;
    device.wait_idle();  // what runs there was given the access there was
    std::lock_guard lock(mutex_);
    CUmemAccess_flags& flags = peer_access_[device.ordinal()];
    if (flags == each.flags) continue;
    for (const auto& [begin, end] : mapped_) {
      unmap_on(device, {begin, end - begin}, flags);
      map_on(device, {begin, end - begin}, each.flags);
    }
    flags = each.flags;
  }
  return CUDA_SUCCESS;
}

CUresult MemoryPool::get_access(const CUmemLocation& location, CUmemAccess_flags* flags) const {
  Device* device = nullptr;
  if (location.type != CU_MEM_LOCATION_TYPE_DEVICE || find_device(location.id, &device) != CUDA_SUCCESS)
    return CUDA_ERROR_INVALID_VALUE;
  std::lock_guard lock(mutex_);
  *flags = access_to_locked(*device);
  return CUDA_SUCCESS;
}

CUresult MemoryPool::get_attribute(CUmemPool_attribute attribute, void* value) const {
  std::lock_guard lock(mutex_);
  auto* number = static_cast<cuuint64_t*>(value);
  switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      *static_cast<int*>(value) = reuse_flags_[attribute - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES];
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      *number = release_threshold_;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      *number = reserved_;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      *number = reserved_high_;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      *number = used_;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      *number = used_high_;
      return CUDA_SUCCESS;
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult MemoryPool::set_attribute(CUmemPool_attribute attribute, const void* value) {
  std::lock_guard lock(mutex_);
  const cuuint64_t number =
      attribute >= CU_MEMPOOL_ATTR_RELEASE_THRESHOLD ? *static_cast<const cuuint64_t*>(value) : 0;
  switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      reuse_flags_[attribute - CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES] =
          *static_cast<const int*>(value);
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      if (imported_) return CUDA_ERROR_INVALID_VALUE;
      release_threshold_ = number;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:  // high-water marks can only be reset
      if (number != 0) return CUDA_ERROR_INVALID_VALUE;
      reserved_high_ = reserved_;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      if (number != 0) return CUDA_ERROR_INVALID_VALUE;
      used_high_ = used_;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

namespace {

// Frees memory of cuMemAlloc when the work before it in a stream has finished.
class FreeOp : public MarkerOp {
 public:
  FreeOp(Device& device, Allocation allocation) : device_(device), allocation_(allocation) {}
  void start(const std::shared_ptr<Op>& self) override {
    hide(allocation_);
    device_.memory().give_back({allocation_.range_begin, allocation_.range_size});
    MarkerOp::start(self);
  }

 private:
  Device& device_;
  const Allocation allocation_;
};

}  // namespace

std::shared_ptr<MemoryPool> pool_of(const Allocation& allocation) {
  return holders().find(reinterpret_cast<const void*>(allocation.pool_handle));
}

CUresult free_in_order(Stream& stream, uint64_t address) {
  if (GraphMemory::instance().find(address)) return GraphMemory::instance().free_in_order(stream, address);
  auto allocation = AllocationTable::instance().remove(address, [](const Allocation& a) {
    return (a.kind == MemoryKind::kDevice || a.kind == MemoryKind::kPool) && a.owner == MemoryOwner::kProgram;
  });
  if (!allocation) return CUDA_ERROR_INVALID_VALUE;
  if (allocation->kind == MemoryKind::kPool) {
    pool_of(*allocation)->free(stream, *allocation);
  } else {
    Device& owner = *devices()[static_cast<size_t>(allocation->device)];
    stream.submit(std::make_shared<FreeOp>(owner, *allocation));
  }
  return CUDA_SUCCESS;
}

CUresult free_to_pool_now(uint64_t address) {
  auto allocation = AllocationTable::instance().remove(
      address, [](const Allocation& a) { return a.kind == MemoryKind::kPool; });
  if (!allocation) return CUDA_ERROR_INVALID_VALUE;
  return_to_pool(*allocation);
  return CUDA_SUCCESS;
}

void return_to_pool(const Allocation& allocation) { pool_of(allocation)->free_now(allocation); }

void trim_pools(Device& device) {
  for (const auto& pool : holders().all()) {
    if (&pool->device() == &device) pool->trim_to_threshold();
  }
}

}  // namespace tessera::softgpu
