#include "softgpu/memory/range_allocator.h"

#include <algorithm>
#include <cassert>

namespace tessera::softgpu {
namespace {

uint64_t round_up(uint64_t value, uint64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

}  // namespace

RangeAllocator::RangeAllocator(uint64_t begin, uint64_t size, uint64_t granularity)
    : granularity_(granularity) {
  assert((granularity & (granularity - 1)) == 0 && begin % granularity == 0 && size % granularity == 0);
  if (size != 0) insert_free({begin, size});
}

void RangeAllocator::insert_free(Range range) {
  by_begin_.emplace(range.begin, range.size);
  by_size_.emplace(range.size, range.begin);
  free_bytes_ += range.size;
}

void RangeAllocator::erase_free(Range range) {
  by_begin_.erase(range.begin);
  by_size_.erase({range.size, range.begin});
  free_bytes_ -= range.size;
}

std::optional<RangeAllocator::Range> RangeAllocator::allocate(uint64_t size, uint64_t alignment) {
  if (size == 0 || size > free_bytes_) return std::nullopt;
  size = round_up(size, granularity_);
  alignment = std::max(alignment, granularity_);
  // The smallest free range that holds it; larger ones are looked at only where alignment spoils the fit.
  for (auto it = by_size_.lower_bound({size, 0}); it != by_size_.end(); ++it) {
    const Range hole{it->second, it->first};
    const uint64_t begin = round_up(hole.begin, alignment);
    if (begin < hole.begin || begin > hole.end() || hole.end() - begin < size) continue;
    erase_free(hole);
    if (begin > hole.begin) insert_free({hole.begin, begin - hole.begin});
    if (begin + size < hole.end()) insert_free({begin + size, hole.end() - begin - size});
    return Range{begin, size};
  }
  return std::nullopt;
}

RangeAllocator::Range RangeAllocator::free(Range range) {
  assert(range.size != 0 && range.begin % granularity_ == 0 && range.size % granularity_ == 0);
  Range joined = range;
  auto next = by_begin_.lower_bound(range.begin);
  assert(next == by_begin_.end() || next->first >= range.end());
  if (next != by_begin_.end() && next->first == range.end()) {
    const Range after{next->first, next->second};
    ++next;
    erase_free(after);
    joined.size += after.size;
  }
  if (next != by_begin_.begin()) {
    const auto previous = std::prev(next);
    const Range before{previous->first, previous->second};
    assert(before.end() <= range.begin);
    if (before.end() == range.begin) {
      erase_free(before);
      joined = {before.begin, before.size + joined.size};
    }
  }
  insert_free(joined);
  return joined;
}

}  // namespace tessera::softgpu
