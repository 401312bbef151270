#include "memory/pool/block_cache.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace tessera::memory {

uint32_t BlockCache::thread_number() {
  static std::atomic<uint32_t> threads{0};
  thread_local const uint32_t number = threads.fetch_add(1, std::memory_order_relaxed);
  return number;
}

size_t BlockCache::put(uint32_t size_class, uint64_t block, std::array<uint64_t, kMost>& overflow) {
  std::lock_guard lock(mutex_);
  Stack& stack = stacks_[size_class];
  size_t moved = 0;
  if (stack.count == capacity(size_class)) {
    moved = (stack.count + 1) / 2;
    const auto begin = stack.blocks.begin(), middle = begin + static_cast<ptrdiff_t>(moved);
    std::copy(begin, middle, overflow.begin());
    std::copy(middle, begin + stack.count, begin);
    stack.count -= static_cast<uint32_t>(moved);
  }
  stack.blocks[stack.count++] = block;
  return moved;
}

size_t BlockCache::fill(uint32_t size_class, std::span<const uint64_t> blocks) {
  std::lock_guard lock(mutex_);
  Stack& stack = stacks_[size_class];
  const size_t room = std::min<size_t>(capacity(size_class) - stack.count, blocks.size());
  std::copy_n(blocks.begin(), room, stack.blocks.begin() + stack.count);
  stack.count += static_cast<uint32_t>(room);
  return room;
}

size_t BlockCache::drain(uint32_t size_class, std::array<uint64_t, kMost>& blocks) {
  std::lock_guard lock(mutex_);
  Stack& stack = stacks_[size_class];
  std::copy_n(stack.blocks.begin(), stack.count, blocks.begin());
  return std::exchange(stack.count, 0);
}

}  // namespace tessera::memory
