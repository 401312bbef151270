#include "memory/pool/pool.h"

#include <algorithm>

namespace tessera::memory {
namespace {

Status no_block(uint64_t address) {
  return Status::error(Code::kNotFound,
                       "no live block begins at 0x%llx: it was freed already or never given out",
                       static_cast<unsigned long long>(address));
}

Status check_size(uint64_t bytes) {
  constexpr uint64_t kMost = uint64_t{1} << 46;  // beyond any device, and any reservation
  if (bytes == 0) return {Code::kInvalidArgument, "a block of 0 bytes"};
  if (bytes <= kMost) return {};
  return Status::error(Code::kResourceExhausted, "%llu bytes are more than any device has",
                       static_cast<unsigned long long>(bytes));
}

}  // namespace

Pool::Pool(DeviceMemory& device, const HeapOptions& options) : heap_(device, options), small_(heap_) {}

void Pool::became_active(uint64_t bytes) {
  active_blocks_.fetch_add(1, std::memory_order_relaxed);
  const uint64_t now = active_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  uint64_t peak = peak_active_bytes_.load(std::memory_order_relaxed);
  while (peak < now && !peak_active_bytes_.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
}

void Pool::no_longer_active(uint64_t bytes) {
  active_blocks_.fetch_sub(1, std::memory_order_relaxed);
  active_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

Result<uint64_t> Pool::allocate(uint64_t bytes) {
  TESSERA_RETURN_IF_ERROR(check_size(bytes));
  if (closed_.load(std::memory_order_relaxed)) return Status(Code::kFailedPrecondition, "the pool is closed");
  return bytes <= kLargestSmall ? allocate_small(bytes) : allocate_large(bytes);
}

Result<uint64_t> Pool::allocate_on(StreamId stream, uint64_t bytes) {
  TESSERA_RETURN_IF_ERROR(check_size(bytes));
  if (pending_blocks_.load(std::memory_order_relaxed) > 0) {
    if (const auto own = take_pending(stream, bytes)) return *own;
  }
  return allocate(bytes);
}

Result<uint64_t> Pool::allocate_small(uint64_t bytes) {
  const uint32_t size_class = memory::size_class(bytes);
  BlockCache& cache = BlockCache::mine(caches_);
  uint64_t address = cache.take(size_class);
  if (address == 0) {
    std::array<uint64_t, BlockCache::kMost> blocks;
    const auto wanted = std::span(blocks).first(std::max(BlockCache::capacity(size_class) / 2, 1u));
    Result<size_t> taken = refill(size_class, wanted);
    if (!taken.ok()) {
      drain_caches();
      taken = refill(size_class, wanted);
      if (!taken.ok()) return taken.status();
    }
    address = blocks[0];
    const auto rest = std::span<const uint64_t>(blocks).first(*taken).subspan(1);
    const size_t kept = cache.fill(size_class, rest);
    if (kept < rest.size()) {
      std::lock_guard lock(mutex_);
      small_.give_back(rest.subspan(kept));
    }
  }
  const SmallBlock block = small_.find(address);
  block.asked().store(static_cast<uint16_t>(bytes), std::memory_order_relaxed);
  block.state().store(BlockState::kLive, std::memory_order_release);
  became_active(bytes);
  return address;
}

Result<size_t> Pool::refill(uint32_t size_class, std::span<uint64_t> blocks) {
  std::lock_guard lock(mutex_);
  return small_.take(size_class, blocks);
}

Result<uint64_t> Pool::allocate_large(uint64_t bytes) {
  const auto attempt = [&]() -> Result<uint64_t> {
    std::lock_guard lock(mutex_);
    TESSERA_ASSIGN_OR_RETURN(const ExtentId id, heap_.allocate(bytes));
    heap_.map()[id].asked = bytes;
    return heap_.map()[id].begin;
  };
  Result<uint64_t> address = attempt();
  if (!address.ok() && address.status().code() == Code::kResourceExhausted) {
    drain_caches();
    address = attempt();
  }
  if (address.ok()) became_active(bytes);
  return address;
}

std::optional<uint64_t> Pool::take_pending(StreamId stream, uint64_t bytes) {
  const uint64_t size = bytes <= kLargestSmall ? class_bytes(size_class(bytes)) : bytes;
  std::lock_guard lock(mutex_);
  const std::optional<uint64_t> address = frees_.take(stream, size);
  if (!address) return std::nullopt;
  pending_blocks_.fetch_sub(1, std::memory_order_relaxed);
  if (const SmallBlock block = small_.find(*address); block.found) {
    block.asked().store(static_cast<uint16_t>(bytes), std::memory_order_relaxed);
    block.state().store(BlockState::kLive, std::memory_order_release);
  } else {
    Extent& extent = heap_.map()[heap_.map().find(*address)];
    extent.asked = bytes;
    extent.pending = false;
  }
  became_active(bytes);
  return address;
}

Status Pool::free(uint64_t address) {
  if (const SmallBlock block = small_.find(address); block.found) {
    if (!block.at_begin) return no_block(address);
    return free_small(block, BlockState::kLive);
  }
  std::lock_guard lock(mutex_);
  const ExtentId id = heap_.map().find(address);
  if (id == kNoExtent) return no_block(address);
  const Extent& extent = heap_.map()[id];
  if (extent.kind != ExtentKind::kBlock || extent.begin != address || extent.pending)
    return no_block(address);
  no_longer_active(extent.asked);
  heap_.free(id);
  return {};
}

Status Pool::free_small(const SmallBlock& block, BlockState from) {
  const uint16_t asked = block.asked().load(std::memory_order_relaxed);
  BlockState expected = from;
  if (!block.state().compare_exchange_strong(expected, BlockState::kFree, std::memory_order_acq_rel)) {
    return no_block(block.begin);
  }
  // Where two threads free one block, its slab may have become another's in between.
  const SmallBlock again = small_.find(block.begin);
  if (again.slab != block.slab || again.number != block.number || !again.at_begin) {
    block.state().store(from, std::memory_order_release);
    return no_block(block.begin);
  }
  if (from == BlockState::kLive) no_longer_active(asked);
  std::array<uint64_t, BlockCache::kMost> overflow;
  const uint32_t size_class = block.slab->size_class.load(std::memory_order_relaxed);
  const size_t moved = BlockCache::mine(caches_).put(size_class, block.begin, overflow);
  if (moved > 0) {
    std::lock_guard lock(mutex_);
    small_.give_back(std::span<const uint64_t>(overflow).first(moved));
  }
  return {};
}

// The block is its stream's from now on; `size`: what it has room for.
Status Pool::mark_pending(uint64_t address, uint64_t& size) {
  if (const SmallBlock block = small_.find(address); block.found) {
    const uint16_t asked = block.asked().load(std::memory_order_relaxed);
    BlockState expected = BlockState::kLive;
    if (!block.at_begin ||
        !block.state().compare_exchange_strong(expected, BlockState::kPending, std::memory_order_acq_rel)) {
      return no_block(address);
    }
    size = class_bytes(block.slab->size_class.load(std::memory_order_relaxed));
    no_longer_active(asked);
    return {};
  }
  const ExtentId id = heap_.map().find(address);
  if (id == kNoExtent) return no_block(address);
  Extent& extent = heap_.map()[id];
  if (extent.kind != ExtentKind::kBlock || extent.begin != address || extent.pending)
    return no_block(address);
  extent.pending = true;
  size = extent.size;
  no_longer_active(extent.asked);
  return {};
}

Status Pool::free_on(StreamId stream, uint64_t token, uint64_t address) {
  std::lock_guard lock(mutex_);
  uint64_t size = 0;
  TESSERA_RETURN_IF_ERROR(mark_pending(address, size));
  frees_.add(stream, token, address, size);
  pending_blocks_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void Pool::passed(StreamId stream, uint64_t token) {
  if (pending_blocks_.load(std::memory_order_relaxed) == 0) return;
  std::vector<uint64_t> small;
  {
    std::lock_guard lock(mutex_);
    for (const uint64_t address : frees_.passed(stream, token)) {
      pending_blocks_.fetch_sub(1, std::memory_order_relaxed);
      if (small_.find(address).found) {
        small.push_back(address);
      } else {
        heap_.free(heap_.map().find(address));
      }
    }
  }
  // Pending: nobody else can free them meanwhile.
  for (const uint64_t address : small) (void)free_small(small_.find(address), BlockState::kPending);
}

void Pool::drain_caches() {
  for (BlockCache& cache : caches_) {
    for (uint32_t size_class = 0; size_class < kSizeClasses; ++size_class) {
      std::array<uint64_t, BlockCache::kMost> blocks;
      const size_t count = cache.drain(size_class, blocks);
      if (count == 0) continue;
      std::lock_guard lock(mutex_);
      small_.give_back(std::span<const uint64_t>(blocks).first(count));
    }
  }
}

std::optional<Block> Pool::find(uint64_t address) {
  if (const SmallBlock block = small_.find(address); block.found) {
    const uint16_t asked = block.asked().load(std::memory_order_relaxed);
    const bool live = block.state().load(std::memory_order_acquire) == BlockState::kLive;
    if (!live || address - block.begin >= asked) return std::nullopt;
    return Block{block.begin, asked};
  }
  std::lock_guard lock(mutex_);
  const ExtentId id = heap_.map().find(address);
  if (id == kNoExtent) return std::nullopt;
  const Extent& extent = heap_.map()[id];
  if (extent.kind != ExtentKind::kBlock || extent.pending || address - extent.begin >= extent.asked) {
    return std::nullopt;
  }
  return Block{extent.begin, extent.asked};
}

std::optional<Pool::Backing> Pool::backing(uint64_t address) {
  const std::optional<Block> block = find(address);
  if (!block) return std::nullopt;
  std::lock_guard lock(mutex_);
  const ExtentMap& map = heap_.map();
  Backing backing{map.granule_begin(block->begin), {}};
  const uint64_t end = block->begin + block->bytes;
  for (uint64_t at = backing.begin; at < end; at += map.granularity()) {
    backing.granules.push_back(map.handle(at));
  }
  return backing;
}

Status Pool::trim(uint64_t keep_bytes) {
  drain_caches();
  std::lock_guard lock(mutex_);
  return heap_.trim(keep_bytes / heap_.map().granularity());
}

bool Pool::try_trim(uint64_t keep_bytes) {
  std::unique_lock lock(mutex_, std::try_to_lock);
  return lock.owns_lock() && heap_.trim(keep_bytes / heap_.map().granularity()).ok();
}

Status Pool::close() {
  std::lock_guard lock(mutex_);
  if (closed_.exchange(true)) return {};
  small_.forget_all();
  return heap_.close();
}

PoolStats Pool::stats() {
  PoolStats stats;
  stats.active_bytes = active_bytes_.load(std::memory_order_relaxed);
  stats.active_blocks = active_blocks_.load(std::memory_order_relaxed);
  stats.peak_active_bytes = peak_active_bytes_.load(std::memory_order_relaxed);
  std::lock_guard lock(mutex_);
  const uint64_t granule = heap_.map().granularity();
  stats.pending_bytes = frees_.bytes();
  stats.reserved_bytes = heap_.reserved_granules() * granule;
  stats.peak_reserved_bytes = heap_.peak_granules() * granule;
  stats.free_granule_bytes = heap_.free_granules() * granule;
  stats.stitched_granules = heap_.stitched_granules();
  return stats;
}

}  // namespace tessera::memory
