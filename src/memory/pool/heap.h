// Large blocks, and granules for the small ones, over reserved addresses. Blocks never move. Physical
// granules are behind the addresses that live blocks touch, and behind some that are free: these are kept
// where they are for the next block, moved to other addresses when a block needs memory in one piece
// (stitching), and given back when there are more of them than the limit says.
//
// A request fails only where the device refuses granules and the free ones do not suffice: a block of n
// granules' size never needs more than n of them, wherever they are.
//
// The caller holds a lock.
#pragma once

#include <cstdint>
#include <vector>

#include "memory/device_memory.h"
#include "memory/pool/extent_map.h"

namespace tessera::memory {

struct HeapOptions {
  // Addresses to reserve at a time: several times what the device holds, so that fresh ones are never short.
  uint64_t region_bytes = uint64_t{256} << 30;
  // Free granules are kept up to this many bytes, or up to the slack where that is more.
  uint64_t keep_bytes = uint64_t{64} << 20;
  // Percent of what live blocks touch. Up to it free granules stay where they are and new ones are made for a
  // block that needs memory in one piece: or each such block would cost the device the time of moving some.
  uint32_t slack_percent = 4;
};

class Heap {
 public:
  Heap(DeviceMemory& device, const HeapOptions& options);

  // A block of at least `bytes`, kSmallest or more: so few begin in a page of the AddressIndex.
  static constexpr uint64_t kSmallest = uint64_t{16} << 10;
  Result<ExtentId> allocate(uint64_t bytes);
  // One granule, all of it.
  Result<ExtentId> allocate_granule();
  // Of a block or a granule of small ones that nobody uses any more.
  void free(ExtentId id);

  ExtentMap& map() { return map_; }
  const ExtentMap& map() const { return map_; }

  // Gives free granules back until no more than `keep` are left; an error of the device ends it.
  Status trim(uint64_t keep);
  // Gives back all there is, live blocks too. Goes on after an error; the answer is the first one.
  Status close();

  uint64_t reserved_granules() const { return mapped_ + stock_.size(); }
  uint64_t peak_granules() const { return peak_granules_; }
  uint64_t free_granules() const { return map_.empty_granules() + stock_.size(); }
  uint64_t stitched_granules() const { return stitched_; }  // moved to other addresses, up to now

 private:
  using Handle = DeviceMemory::Handle;
  struct Window {
    uint64_t begin = 0, end = 0;
    uint64_t lacking = 0;  // granules to be put behind it
    bool found = false;
  };

  Zone zone_of(uint64_t size) const { return size < map_.granularity() ? Zone::kMedium : Zone::kLarge; }
  // A free extent that holds the block, in the zone of its size or, where that is `anywhere`, in the other
  // one.
  ExtentId find_free(uint64_t size, bool anywhere) const;
  ExtentId place(ExtentId fit, uint64_t size);
  Result<Window> find_window(uint64_t size);
  // Where a granule is to be put that is used as a whole.
  Result<Window> find_granule();
  Window best_window(Zone zone, uint64_t size) const;
  Window cheaper_window(ExtentId bare, uint64_t size) const;
  Status add_region(Zone zone, uint64_t size);
  // Puts granules behind all of a window, which is one free extent then, or part of one. After an error there
  // may be more free granules than before, and all is well otherwise.
  Status back(const Window& window);
  Status back_granules(ExtentId bare, uint64_t begin, uint64_t end);
  ExtentId take(uint64_t begin, uint64_t end, ExtentKind kind);

  Status stock_up(uint64_t granules, const Window& window);
  Status create_one();
  // Takes up to `most` empty granules from behind free addresses outside of the window; how many it took.
  uint64_t unmap_empty(uint64_t most, const Window& window);
  // The last `count` whole granules of a free extent.
  Status unmap_from(ExtentId id, uint64_t count);
  uint64_t slack() const;
  uint64_t limit() const;

  DeviceMemory& device_;
  const HeapOptions options_;
  ExtentMap map_;
  std::vector<Handle> stock_;  // granules that are mapped nowhere
  uint64_t mapped_ = 0;
  uint64_t peak_granules_ = 0;
  uint64_t stitched_ = 0;
};

}  // namespace tessera::memory
