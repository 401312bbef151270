// Device memory behind cuMemAlloc and stream-ordered allocation.
//
// Addresses never change while a block lives; the granules behind them may. Records are in host memory only,
// so that kernels cannot damage them. Small blocks come from slabs through caches that threads are spread
// over, larger ones from a heap; see heap.h for what happens when memory is short, slab.h and block_cache.h
// for the small ones, stream_frees.h for streams.
//
// Thread-safe. No two locks are ever held together, and the device is called under the pool's: where a grant
// of memory may depend on a thread, that thread asks for memory back by try_trim(), which does not wait. The
// pool starts no thread. A child of fork() may only drop its copy: the destructor frees the records and calls
// nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "common/status.h"
#include "memory/device_memory.h"
#include "memory/pool/block_cache.h"
#include "memory/pool/heap.h"
#include "memory/pool/slab.h"
#include "memory/pool/stream_frees.h"

namespace tessera::memory {

struct PoolStats {
  uint64_t active_bytes = 0;  // as asked for; what streams have yet to pass is not active
  uint64_t active_blocks = 0;
  uint64_t peak_active_bytes = 0;
  uint64_t pending_bytes = 0;   // freed in the order of streams that are not there yet
  uint64_t reserved_bytes = 0;  // granules, whether used or not
  uint64_t peak_reserved_bytes = 0;
  uint64_t free_granule_bytes = 0;  // of these: given back when asked for
  uint64_t stitched_granules = 0;   // moved to other addresses, up to now
};

struct Block {
  uint64_t begin = 0;
  uint64_t bytes = 0;  // as asked for
};

class Pool {
 public:
  explicit Pool(DeviceMemory& device, const HeapOptions& options = {});

  // A block aligned to 512 bytes. kResourceExhausted: the device or the slice refused, and what is free here
  // does not suffice. Where stats().pending_bytes > 0 it may suffice once streams have passed.
  Result<uint64_t> allocate(uint64_t bytes);
  // For use in the order of a stream: may be a block that was freed in the same order.
  Result<uint64_t> allocate_on(StreamId stream, uint64_t bytes);

  // The device uses the block no more. kNotFound: no block begins there, or it was freed already.
  Status free(uint64_t address);
  // As soon as `stream` has passed `token`; for the stream itself, now.
  Status free_on(StreamId stream, uint64_t token, uint64_t address);
  // The stream has passed all points up to `token`. What it was given again since then stays its own.
  void passed(StreamId stream, uint64_t token);

  // The live block that holds an address.
  std::optional<Block> find(uint64_t address);
  // The granules behind a live block, in order, and the address of the first one: to export, copy or move
  // them.
  struct Backing {
    uint64_t begin = 0;
    std::vector<DeviceMemory::Handle> granules;
  };
  std::optional<Backing> backing(uint64_t address);

  // Gives back free granules, and what caches hold of them, until at most `keep_bytes` are left.
  Status trim(uint64_t keep_bytes);
  // The same of free granules where the pool is not in use this moment; false: it is.
  bool try_trim(uint64_t keep_bytes);
  // Gives everything back to the device, live blocks too, while no other thread calls; nothing can be
  // allocated after that.
  Status close();

  PoolStats stats();

 private:
  friend class PoolCheck;  // in tests: whether all records agree
  static constexpr uint32_t kCaches = 16;

  Result<uint64_t> allocate_small(uint64_t bytes);
  Result<uint64_t> allocate_large(uint64_t bytes);
  std::optional<uint64_t> take_pending(StreamId stream, uint64_t bytes);
  Result<size_t> refill(uint32_t size_class, std::span<uint64_t> blocks);
  Status free_small(const SmallBlock& block, BlockState from);
  Status mark_pending(uint64_t address, uint64_t& size);
  void release_pending(uint64_t address);
  void drain_caches();

  void became_active(uint64_t bytes);
  void no_longer_active(uint64_t bytes);

  std::array<BlockCache, kCaches> caches_;
  std::atomic<uint64_t> active_bytes_{0}, active_blocks_{0}, peak_active_bytes_{0};
  std::atomic<uint64_t> pending_blocks_{0};

  std::atomic<bool> closed_{false};

  std::mutex mutex_;  // of all that follows
  Heap heap_;
  SmallBlocks small_;  // its find() needs no lock
  StreamFrees frees_;
};

}  // namespace tessera::memory
