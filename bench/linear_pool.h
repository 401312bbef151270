// The pool that many had: free ranges in a list by address, best fit by walking it, neighbours joined. It
// holds all its memory from the start.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>

namespace tessera::bench {

class LinearPool {
 public:
  LinearPool(uint64_t begin, uint64_t size) { free_.push_back({begin, size}); }

  uint64_t allocate(uint64_t bytes) {  // 0: nothing fits
    bytes = (bytes + 511) / 512 * 512;
    std::lock_guard lock(mutex_);
    auto best = free_.end();
    for (auto range = free_.begin(); range != free_.end(); ++range) {
      if (range->size < bytes || (best != free_.end() && range->size >= best->size)) continue;
      best = range;
      if (best->size == bytes) break;
    }
    if (best == free_.end()) return 0;
    const uint64_t address = best->begin;
    best->begin += bytes;
    best->size -= bytes;
    if (best->size == 0) free_.erase(best);
    live_.emplace(address, bytes);
    return address;
  }

  void free(uint64_t address) {
    std::lock_guard lock(mutex_);
    const auto live = live_.find(address);
    const uint64_t bytes = live->second;
    live_.erase(live);
    auto next = free_.begin();
    while (next != free_.end() && next->begin < address) ++next;
    const bool joins_next = next != free_.end() && next->begin == address + bytes;
    const auto before = next == free_.begin() ? free_.end() : std::prev(next);
    if (before != free_.end() && before->begin + before->size == address) {
      before->size += bytes;
      if (joins_next) {
        before->size += next->size;
        free_.erase(next);
      }
    } else if (joins_next) {
      next->begin = address;
      next->size += bytes;
    } else {
      free_.insert(next, {address, bytes});
    }
  }

 private:
  struct Range {
    uint64_t begin, size;
  };
  std::mutex mutex_;
  std::list<Range> free_;
  std::unordered_map<uint64_t, uint64_t> live_;
};

}  // namespace tessera::bench
