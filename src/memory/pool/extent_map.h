// All extents of a pool: where they lie, which are free, which free ones hold whole granules that nobody
// uses. Pure geometry; the caller holds a lock and does what the device has to be told.
//
// Invariants: extents of a region lie side by side from its begin to its end; neighbours are never both kFree
// or both kBare; a kBare extent begins and ends at granules.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "memory/pool/address_index.h"
#include "memory/pool/extent.h"
#include "memory/pool/size_bins.h"

namespace tessera::memory {

// Blocks smaller than a granule lie apart from larger ones, which would leave granules behind that a few
// small blocks hold.
enum class Zone : uint8_t { kMedium, kLarge };
inline constexpr size_t kZones = 2;

class ExtentMap {
 public:
  static constexpr uint64_t kUnit =
      512;  // sizes and places of blocks are multiples of it, as the driver's are
  static constexpr uint32_t kMaxRegions = 64;

  explicit ExtentMap(uint64_t granularity);
  ~ExtentMap();
  ExtentMap(const ExtentMap&) = delete;
  ExtentMap& operator=(const ExtentMap&) = delete;

  uint64_t granularity() const { return granularity_; }
  uint64_t granule_begin(uint64_t address) const { return address & ~(granularity_ - 1); }
  uint64_t granule_end(uint64_t address) const { return granule_begin(address + granularity_ - 1); }

  // One bare extent more, for blocks of that zone. False where there are kMaxRegions.
  bool add_region(uint64_t begin, uint64_t size, Zone zone);
  uint32_t regions() const { return region_count_.load(std::memory_order_acquire); }
  const AddressIndex& region(uint32_t number) const {
    return *regions_[number].load(std::memory_order_acquire);
  }

  const Extent& operator[](ExtentId id) const { return extents_[id]; }
  Extent& operator[](ExtentId id) { return extents_[id]; }
  uint32_t extents() const { return extents_.in_use(); }

  // The extent that holds `address`; kNoExtent outside of all regions.
  ExtentId find(uint64_t address) const;
  // Any thread may ask at any time; null where there are no small blocks.
  SlabChunk* slabs(uint64_t address) const;
  void set_slabs(uint64_t address, SlabChunk* slabs) { region_of(address)->set_slabs(address, slabs); }
  DeviceMemory::Handle handle(uint64_t address) const { return region_of(address)->handle(address); }
  void set_handle(uint64_t address, DeviceMemory::Handle handle) {
    region_of(address)->set_handle(address, handle);
  }

  // Cuts [begin, end) out of a kFree or kBare extent. What is left on both sides stays what it was; the piece
  // is the caller's until settle().
  ExtentId cut(ExtentId id, uint64_t begin, uint64_t end);
  // The piece is of this kind from now on; a free or bare one becomes one with its neighbours of that kind.
  void settle(ExtentId piece, ExtentKind kind);

  // A kFree extent of at least `size` bytes, as small as can be found quickly.
  ExtentId best_free(Zone zone, uint64_t size) const { return in(free_, zone).best_fit(size); }
  // Visits kBare extents, those of about `size` bytes first and a bounded number in all, until it answers
  // true.
  template <typename Visit>
  void visit_bare(Zone zone, uint64_t size, Visit visit) const {
    in(bare_, zone).visit_from(size, kMostBare, visit);
  }

  // The granules that lie wholly in an extent: the first begins at `begin`.
  struct Granules {
    uint64_t begin = 0;
    uint64_t count = 0;
  };
  Granules whole_granules(uint64_t begin, uint64_t end) const;
  Granules whole_granules(ExtentId id) const {
    return whole_granules(extents_[id].begin, extents_[id].end());
  }
  // Of all kFree extents.
  uint64_t empty_granules() const { return empty_granules_; }
  // Bytes of kFree extents that lie in granules which blocks are in, too.
  uint64_t fragment_bytes() const { return free_bytes_ - empty_granules_ * granularity_; }
  // Free extents that hold whole granules, the one freed longest ago first.
  ExtentId oldest_empty() const { return oldest_empty_; }
  ExtentId newest_empty() const { return newest_empty_; }

 private:
  static constexpr uint32_t kMostBare = 12;

  AddressIndex* region_of(uint64_t address) const;
  ExtentId split(ExtentId id, uint64_t at);
  void merge(ExtentId into, ExtentId next);
  void attach(ExtentId id);
  void detach(ExtentId id);
  void link_empty(ExtentId id);
  void unlink_empty(ExtentId id);
  AddressIndex& index_of(const Extent& extent) const {
    return *regions_[extent.region].load(std::memory_order_relaxed);
  }

  const uint64_t granularity_;
  ExtentTable extents_;
  using Bins = std::array<SizeBins, kZones>;
  static const SizeBins& in(const Bins& bins, Zone zone) { return bins[static_cast<size_t>(zone)]; }
  SizeBins& bins_of(const Extent& extent) {
    Bins& bins = extent.kind == ExtentKind::kBare ? bare_ : free_;
    return bins[static_cast<size_t>(zones_[extent.region])];
  }

  Bins free_, bare_;
  std::array<Zone, kMaxRegions> zones_{};
  std::array<std::atomic<AddressIndex*>, kMaxRegions> regions_{};
  std::atomic<uint32_t> region_count_{0};
  uint64_t empty_granules_ = 0;
  uint64_t free_bytes_ = 0;
  ExtentId oldest_empty_ = kNoExtent, newest_empty_ = kNoExtent;
};

}  // namespace tessera::memory
