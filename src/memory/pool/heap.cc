#include "memory/pool/heap.h"

#include <algorithm>
#include <cassert>

#include "common/failpoint.h"

namespace tessera::memory {

Heap::Heap(DeviceMemory& device, const HeapOptions& options)
    : device_(device), options_(options), map_(device.granularity()) {}

Result<ExtentId> Heap::allocate(uint64_t bytes) {
  assert(bytes >= kSmallest);
  const uint64_t size = (bytes + ExtentMap::kUnit - 1) / ExtentMap::kUnit * ExtentMap::kUnit;
  // Beside blocks of the other zone only where room of that kind has become much, or there is no other.
  const bool anywhere = map_.fragment_bytes() > slack() * map_.granularity();
  if (const ExtentId fit = find_free(size, anywhere); fit != kNoExtent) return place(fit, size);
  TESSERA_ASSIGN_OR_RETURN(const Window window, find_window(size));
  Status backed = back(window);
  if (backed.ok()) return take(window.begin, window.end, ExtentKind::kBlock);
  const ExtentId fit = find_free(size, true);
  if (fit == kNoExtent) return backed;
  return place(fit, size);
}

ExtentId Heap::find_free(uint64_t size, bool anywhere) const {
  const Zone own = zone_of(size), other = own == Zone::kMedium ? Zone::kLarge : Zone::kMedium;
  const ExtentId fit = map_.best_free(own, size);
  return fit != kNoExtent || !anywhere ? fit : map_.best_free(other, size);
}

// At the end of it that leaves more granules whole.
ExtentId Heap::place(ExtentId fit, uint64_t size) {
  const uint64_t low = map_[fit].begin, high = map_[fit].end();
  const bool upper =
      map_.whole_granules(low, high - size).count > map_.whole_granules(low + size, high).count;
  const uint64_t begin = upper ? high - size : low;
  return take(begin, begin + size, ExtentKind::kBlock);
}

Result<ExtentId> Heap::allocate_granule() {
  const uint64_t granule = map_.granularity();
  if (const ExtentId empty = map_.newest_empty(); empty != kNoExtent) {
    const uint64_t begin = map_.whole_granules(empty).begin;
    return take(begin, begin + granule, ExtentKind::kSlabs);
  }
  TESSERA_ASSIGN_OR_RETURN(const Window window, find_granule());
  TESSERA_RETURN_IF_ERROR(back(window));
  return take(window.begin, window.end, ExtentKind::kSlabs);
}

void Heap::free(ExtentId id) {
  map_.settle(id, ExtentKind::kFree);
  // An error leaves them with us, to be given back with the next free.
  if (free_granules() > limit()) (void)trim(limit());
}

ExtentId Heap::take(uint64_t begin, uint64_t end, ExtentKind kind) {
  const ExtentId whole = map_.find(begin);
  assert(map_[whole].kind == ExtentKind::kFree && map_[whole].end() >= end);
  const ExtentId piece = map_.cut(whole, begin, end);
  map_.settle(piece, kind);
  return piece;
}

uint64_t Heap::slack() const { return (mapped_ - map_.empty_granules()) * options_.slack_percent / 100; }

uint64_t Heap::limit() const { return std::max(options_.keep_bytes / map_.granularity(), slack()); }

Result<Heap::Window> Heap::find_window(uint64_t size) {
  Window window = best_window(zone_of(size), size);
  if (window.found) return window;
  TESSERA_RETURN_IF_ERROR(add_region(zone_of(size), size));
  window = best_window(zone_of(size), size);
  assert(window.found);
  return window;
}

Result<Heap::Window> Heap::find_granule() {
  const uint64_t granule = map_.granularity();
  const auto smallest = [&] {
    ExtentId best = kNoExtent;
    map_.visit_bare(Zone::kMedium, granule, [&](ExtentId id) {
      if (best == kNoExtent || map_[id].size < map_[best].size) best = id;
      return map_[best].size == granule;
    });
    return best;
  };
  ExtentId bare = smallest();
  if (bare == kNoExtent) {
    TESSERA_RETURN_IF_ERROR(add_region(Zone::kMedium, granule));
    bare = smallest();
  }
  return Window{map_[bare].begin, map_[bare].begin + granule, 1, true};
}

// The place that lacks the fewest granules among those looked at.
Heap::Window Heap::best_window(Zone zone, uint64_t size) const {
  const uint64_t few =
      size / map_.granularity();  // so few only where the rest finds room in a granule in use
  Window best;
  map_.visit_bare(zone, map_.granule_begin(size), [&](ExtentId bare) {
    const Window window = cheaper_window(bare, size);
    if (window.found && (!best.found || window.lacking < best.lacking)) best = window;
    return best.found && best.lacking <= few;
  });
  return best;
}

// Bare addresses, with the free ones that adjoin them: from the low end of these upwards, or from their high
// end downwards.
Heap::Window Heap::cheaper_window(ExtentId bare, uint64_t size) const {
  const Extent& extent = map_[bare];
  const auto free_bytes = [&](ExtentId id) {
    return id != kNoExtent && map_[id].kind == ExtentKind::kFree ? map_[id].size : 0;
  };
  const uint64_t below = free_bytes(extent.before), above = free_bytes(extent.after);
  if (below + extent.size + above < size) return {};
  const uint64_t granule = map_.granularity();
  const auto lacking = [&](uint64_t backed) {
    const uint64_t rest = size > backed ? size - backed : 0;
    return std::min((rest + granule - 1) / granule, extent.size / granule);
  };
  const uint64_t low = extent.begin - below, high = extent.end() + above;
  if (lacking(above) < lacking(below)) return {high - size, high, lacking(above), true};
  return {low, low + size, lacking(below), true};
}

Status Heap::add_region(Zone zone, uint64_t size) {
  const uint64_t least = map_.granule_end(size);
  uint64_t bytes = std::max(least, map_.granule_end(options_.region_bytes));
  if (map_.regions() == ExtentMap::kMaxRegions) {
    return Status::error(Code::kResourceExhausted, "the pool has reserved all %u address ranges that it may",
                         ExtentMap::kMaxRegions);
  }
  Result<uint64_t> begin = device_.reserve(bytes);
  while (!begin.ok() && bytes > least) {
    bytes = std::max(least, map_.granule_end(bytes / 2));
    begin = device_.reserve(bytes);
  }
  if (!begin.ok()) return begin.status().with_context("reserving addresses");
  map_.add_region(*begin, bytes, zone);
  return {};
}

Status Heap::back(const Window& window) {
  Status status = stock_up(window.lacking, window);
  for (uint64_t at = window.begin; status.ok() && at < window.end;) {
    const ExtentId id = map_.find(at);
    const uint64_t end = map_[id].end();
    if (map_[id].kind == ExtentKind::kBare) {
      status = back_granules(id, map_.granule_begin(at), std::min(end, map_.granule_end(window.end)));
      at = map_.granule_end(std::min(end, window.end));
    } else {
      at = end;
    }
  }
  if (!status.ok() && free_granules() > limit()) (void)trim(limit());
  return status;
}

Status Heap::back_granules(ExtentId bare, uint64_t begin, uint64_t end) {
  const uint64_t granule = map_.granularity(), count = (end - begin) / granule;
  assert(count <= stock_.size());
  const std::span<const Handle> handles = std::span(stock_).last(count);
  TESSERA_RETURN_IF_ERROR(device_.map(begin, handles));
  failpoint("client.swap.stitch.mapped");
  for (uint64_t i = 0; i < count; ++i) map_.set_handle(begin + i * granule, handles[i]);
  stock_.resize(stock_.size() - count);
  mapped_ += count;
  map_.settle(map_.cut(bare, begin, end), ExtentKind::kFree);
  return {};
}

Status Heap::stock_up(uint64_t granules, const Window& window) {
  while (stock_.size() < granules) {
    const uint64_t missing = granules - stock_.size();
    const bool plenty = free_granules() > slack();
    if (plenty && unmap_empty(missing, window) > 0) continue;
    Status made = create_one();
    if (!made.ok() && unmap_empty(missing, window) == 0) return made;
  }
  return {};
}

Status Heap::create_one() {
  TESSERA_ASSIGN_OR_RETURN(const Handle made, device_.create());
  stock_.push_back(made);
  peak_granules_ = std::max(peak_granules_, reserved_granules());
  return {};
}

uint64_t Heap::unmap_empty(uint64_t most, const Window& window) {
  for (ExtentId id = map_.oldest_empty(); id != kNoExtent; id = map_[id].empty_after) {
    if (map_[id].begin < window.end && map_[id].end() > window.begin) continue;
    const uint64_t count = std::min(most, map_.whole_granules(id).count);
    if (!unmap_from(id, count).ok()) return 0;
    stitched_ += count;
    return count;
  }
  return 0;
}

Status Heap::unmap_from(ExtentId id, uint64_t count) {
  const uint64_t granule = map_.granularity();
  const ExtentMap::Granules whole = map_.whole_granules(id);
  const uint64_t end = whole.begin + whole.count * granule, begin = end - count * granule;
  TESSERA_RETURN_IF_ERROR(device_.unmap(begin, count));
  failpoint("client.swap.stitch.unmapped");
  for (uint64_t at = begin; at < end; at += granule) {
    stock_.push_back(map_.handle(at));
    map_.set_handle(at, 0);
  }
  mapped_ -= count;
  map_.settle(map_.cut(id, begin, end), ExtentKind::kBare);
  return {};
}

Status Heap::trim(uint64_t keep) {
  while (free_granules() > keep) {
    if (stock_.empty()) {
      const ExtentId id = map_.oldest_empty();
      TESSERA_RETURN_IF_ERROR(
          unmap_from(id, std::min(free_granules() - keep, map_.whole_granules(id).count)));
    }
    TESSERA_RETURN_IF_ERROR(device_.release(stock_.back()));
    stock_.pop_back();
  }
  return {};
}

Status Heap::close() {
  Status first;
  const auto note = [&](Status status) {
    if (first.ok() && !status.ok()) first = std::move(status);
  };
  for (uint32_t number = 0; number < map_.regions(); ++number) {
    const uint64_t begin = map_.region(number).begin(), end = begin + map_.region(number).size();
    for (uint64_t at = begin; at < end;) {
      ExtentId id = map_.find(at);
      at = map_[id].end();
      const ExtentKind kind = map_[id].kind;
      if (kind == ExtentKind::kBlock || kind == ExtentKind::kSlabs) map_.settle(id, ExtentKind::kFree);
    }
    for (uint64_t at = begin; at < end;) {
      const ExtentId id = map_.find(at);
      at = map_[id].end();
      if (map_[id].kind == ExtentKind::kFree) note(unmap_from(id, map_.whole_granules(id).count));
    }
    if (map_[map_.find(begin)].size == end - begin) note(device_.unreserve(begin, end - begin));
  }
  std::erase_if(stock_, [&](Handle granule) {
    Status released = device_.release(granule);
    const bool gone = released.ok();
    note(std::move(released));
    return gone;
  });
  return first;
}

}  // namespace tessera::memory
