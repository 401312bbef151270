// Hands out parts of an address range: best fit, neighbours joined when they are freed. Knows nothing of
// memory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace tessera::softgpu {

class RangeAllocator {
 public:
  struct Range {
    uint64_t begin = 0;
    uint64_t size = 0;
    uint64_t end() const { return begin + size; }
  };

  // Everything in [begin, begin + size) is free. Sizes and places are multiples of `granularity`, a power of
  // two.
  RangeAllocator(uint64_t begin, uint64_t size, uint64_t granularity);

  // A range of at least `size` bytes (rounded up to the granularity) whose begin is a multiple of
  // `alignment`.
  std::optional<Range> allocate(uint64_t size, uint64_t alignment);
  // Frees what allocate() returned. The answer is the free range it became part of.
  Range free(Range range);

  uint64_t free_bytes() const { return free_bytes_; }
  uint64_t largest_free() const { return by_size_.empty() ? 0 : by_size_.rbegin()->first; }

 private:
  void insert_free(Range range);
  void erase_free(Range range);

  const uint64_t granularity_;
  uint64_t free_bytes_ = 0;
  std::map<uint64_t, uint64_t> by_begin_;            // free ranges: begin -> size
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // the same: (size, begin)
};

}  // namespace tessera::softgpu
