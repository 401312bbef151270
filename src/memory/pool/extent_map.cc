#include "memory/pool/extent_map.h"

#include <bit>
#include <cassert>

namespace tessera::memory {
namespace {

uint32_t shift(uint64_t power_of_two) { return static_cast<uint32_t>(std::countr_zero(power_of_two)); }

}  // namespace

ExtentMap::ExtentMap(uint64_t granularity)
    : granularity_(granularity),
      free_{SizeBins(extents_, shift(kUnit)), SizeBins(extents_, shift(kUnit))},
      bare_{SizeBins(extents_, shift(granularity)), SizeBins(extents_, shift(granularity))} {
  assert(std::has_single_bit(granularity) && granularity >= DeviceMemory::kLeastGranularity);
}

ExtentMap::~ExtentMap() {
  for (auto& region : regions_) delete region.load(std::memory_order_relaxed);
}

bool ExtentMap::add_region(uint64_t begin, uint64_t size, Zone zone) {
  const uint32_t number = regions();
  if (number == kMaxRegions) return false;
  zones_[number] = zone;
  auto* index = new AddressIndex(extents_, begin, size, granularity_);
  regions_[number].store(index, std::memory_order_release);
  region_count_.store(number + 1, std::memory_order_release);
  const ExtentId id = extents_.make();
  extents_[id].begin = begin;
  extents_[id].size = size;
  extents_[id].region = static_cast<uint16_t>(number);
  index->insert(id);
  settle(id, ExtentKind::kBare);
  return true;
}

AddressIndex* ExtentMap::region_of(uint64_t address) const {
  const uint32_t count = regions();
  for (uint32_t number = 0; number < count; ++number) {
    AddressIndex* region = regions_[number].load(std::memory_order_acquire);
    if (region->holds(address)) return region;
  }
  return nullptr;
}

ExtentId ExtentMap::find(uint64_t address) const {
  const AddressIndex* region = region_of(address);
  return region == nullptr ? kNoExtent : region->find(address);
}

SlabChunk* ExtentMap::slabs(uint64_t address) const {
  const AddressIndex* region = region_of(address);
  return region == nullptr ? nullptr : region->slabs(address);
}

ExtentMap::Granules ExtentMap::whole_granules(uint64_t begin, uint64_t end) const {
  const uint64_t first = granule_end(begin), last = granule_begin(end);
  return {first, first < last ? (last - first) / granularity_ : 0};
}

// The extent keeps what lies below `at`; the answer is the rest.
ExtentId ExtentMap::split(ExtentId id, uint64_t at) {
  const ExtentId rest_id = extents_.make();
  Extent& extent = extents_[id];
  Extent& rest = extents_[rest_id];
  assert(at > extent.begin && at < extent.end());
  rest.begin = at;
  rest.size = extent.end() - at;
  rest.region = extent.region;
  rest.kind = extent.kind;
  rest.before = id;
  rest.after = extent.after;
  if (rest.after != kNoExtent) extents_[rest.after].before = rest_id;
  extent.after = rest_id;
  extent.size = at - extent.begin;
  index_of(extent).insert(rest_id);
  return rest_id;
}

void ExtentMap::merge(ExtentId into, ExtentId next) {
  Extent& extent = extents_[into];
  const Extent& gone = extents_[next];
  index_of(gone).erase(next);
  extent.size += gone.size;
  extent.after = gone.after;
  if (gone.after != kNoExtent) extents_[gone.after].before = into;
  extents_.drop(next);
}

ExtentId ExtentMap::cut(ExtentId id, uint64_t begin, uint64_t end) {
  detach(id);
  ExtentId piece = id;
  if (begin > extents_[id].begin) {
    piece = split(id, begin);
    attach(id);
  }
  if (end < extents_[piece].end()) attach(split(piece, end));
  return piece;
}

void ExtentMap::settle(ExtentId piece, ExtentKind kind) {
  extents_[piece].kind = kind;
  extents_[piece].pending = false;
  if (kind != ExtentKind::kFree && kind != ExtentKind::kBare) return;
  if (const ExtentId before = extents_[piece].before; before != kNoExtent && extents_[before].kind == kind) {
    detach(before);
    merge(before, piece);
    piece = before;
  }
  if (const ExtentId after = extents_[piece].after; after != kNoExtent && extents_[after].kind == kind) {
    detach(after);
    merge(piece, after);
  }
  attach(piece);
}

void ExtentMap::attach(ExtentId id) {
  bins_of(extents_[id]).insert(id);
  if (extents_[id].kind == ExtentKind::kBare) return;
  assert(extents_[id].kind == ExtentKind::kFree);
  free_bytes_ += extents_[id].size;
  if (const uint64_t whole = whole_granules(id).count; whole > 0) {
    empty_granules_ += whole;
    link_empty(id);
  }
}

void ExtentMap::detach(ExtentId id) {
  bins_of(extents_[id]).erase(id);
  if (extents_[id].kind == ExtentKind::kBare) return;
  assert(extents_[id].kind == ExtentKind::kFree);
  free_bytes_ -= extents_[id].size;
  if (const uint64_t whole = whole_granules(id).count; whole > 0) {
    empty_granules_ -= whole;
    unlink_empty(id);
  }
}

void ExtentMap::link_empty(ExtentId id) {
  Extent& extent = extents_[id];
  extent.empty_before = newest_empty_;
  extent.empty_after = kNoExtent;
  if (newest_empty_ != kNoExtent) extents_[newest_empty_].empty_after = id;
  newest_empty_ = id;
  if (oldest_empty_ == kNoExtent) oldest_empty_ = id;
}

void ExtentMap::unlink_empty(ExtentId id) {
  const Extent& extent = extents_[id];
  if (extent.empty_before != kNoExtent) extents_[extent.empty_before].empty_after = extent.empty_after;
  if (extent.empty_after != kNoExtent) extents_[extent.empty_after].empty_before = extent.empty_before;
  if (oldest_empty_ == id) oldest_empty_ = extent.empty_after;
  if (newest_empty_ == id) newest_empty_ = extent.empty_before;
}

}  // namespace tessera::memory
