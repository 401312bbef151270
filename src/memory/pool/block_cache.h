// Small blocks ready to be given out, so that most calls take no lock that another thread wants. Threads are
// spread over a fixed number of caches: nothing has to be done when one ends, and what is held back is
// bounded.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <span>

#include "memory/pool/size_class.h"

namespace tessera::memory {

class BlockCache {
 public:
  static constexpr uint32_t kMost = 32;  // blocks of one size
  // Of larger blocks fewer are kept.
  static constexpr uint32_t capacity(uint32_t size_class) {
    constexpr uint32_t kBytes = 32 << 10;
    const uint32_t blocks = kBytes / class_bytes(size_class);
    return blocks > kMost ? kMost : blocks;
  }

  // The one of the calling thread among `caches`.
  template <size_t kCaches>
  static BlockCache& mine(std::array<BlockCache, kCaches>& caches) {
    return caches[thread_number() % kCaches];
  }

  // 0: there is none.
  uint64_t take(uint32_t size_class) {
    std::lock_guard lock(mutex_);
    Stack& stack = stacks_[size_class];
    return stack.count == 0 ? 0 : stack.blocks[--stack.count];
  }
  // Where there is no room, `overflow` takes the older half; how many these are.
  size_t put(uint32_t size_class, uint64_t block, std::array<uint64_t, kMost>& overflow);
  // Puts what there is room for; how many these are, from the first one on.
  size_t fill(uint32_t size_class, std::span<const uint64_t> blocks);
  // Empties one size; how many these are.
  size_t drain(uint32_t size_class, std::array<uint64_t, kMost>& blocks);

 private:
  struct Stack {
    uint32_t count = 0;
    std::array<uint64_t, kMost> blocks;
  };

  static uint32_t thread_number();

  alignas(64) std::mutex mutex_;
  std::array<Stack, kSizeClasses> stacks_{};
};

}  // namespace tessera::memory
