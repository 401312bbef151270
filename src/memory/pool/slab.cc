#include "memory/pool/slab.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace tessera::memory {
namespace {

uint32_t blocks_of(uint32_t size_class) {
  return static_cast<uint32_t>(Slab::kBytes / class_bytes(size_class));
}

}  // namespace

SmallBlocks::SmallBlocks(Heap& heap)
    : heap_(heap), slabs_per_chunk_(static_cast<uint32_t>(heap.map().granularity() / Slab::kBytes)) {}

SmallBlock SmallBlocks::find(uint64_t address) const {
  SlabChunk* chunk = heap_.map().slabs(address);
  if (chunk == nullptr) return {};
  const uint64_t offset = address & (heap_.map().granularity() - 1);
  Slab& slab = chunk->slabs[offset / Slab::kBytes];
  const uint32_t size_class = slab.size_class.load(std::memory_order_acquire);
  if (size_class == kSizeClasses) return {};
  const uint32_t bytes = class_bytes(size_class);
  const auto number = static_cast<uint32_t>(offset % Slab::kBytes / bytes);
  if (number >= blocks_of(size_class)) return {};
  const uint64_t begin = address - offset % Slab::kBytes + number * bytes;
  return {&slab, number, begin, true, begin == address};
}

Result<size_t> SmallBlocks::take(uint32_t size_class, std::span<uint64_t> addresses) {
  std::map<uint64_t, Slab*>& partial = partial_[size_class];
  size_t taken = 0;
  while (taken < addresses.size()) {
    if (partial.empty()) {
      if (taken > 0) break;  // enough for the one who asked
      TESSERA_ASSIGN_OR_RETURN(Slab* const made, new_slab(size_class));
      partial.emplace(made->begin(), made);
    }
    const auto [begin, slab] = *partial.begin();
    for (uint32_t word = 0; word < slab->untaken.size(); ++word) {
      uint64_t& bits = slab->untaken[word];
      for (; bits != 0 && taken < addresses.size(); bits &= bits - 1) {
        const uint32_t number = word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
        addresses[taken++] = begin + uint64_t{number} * class_bytes(size_class);
        --slab->untaken_count;
      }
    }
    if (slab->untaken_count == 0) partial.erase(partial.begin());
  }
  return taken;
}

void SmallBlocks::give_back(std::span<const uint64_t> addresses) {
  for (const uint64_t address : addresses) {
    const SmallBlock block = find(address);
    assert(block.at_begin);
    Slab& slab = *block.slab;
    const uint32_t size_class = slab.size_class.load(std::memory_order_relaxed);
    uint64_t& bits = slab.untaken[block.number / 64];
    assert((bits >> block.number % 64 & 1) == 0);
    bits |= uint64_t{1} << block.number % 64;
    if (slab.untaken_count++ == 0) partial_[size_class].emplace(slab.begin(), &slab);
    if (slab.untaken_count == blocks_of(size_class)) {
      partial_[size_class].erase(slab.begin());
      retire(slab);
    }
  }
}

Result<Slab*> SmallBlocks::new_slab(uint32_t size_class) {
  if (chunks_with_room_.empty()) {
    TESSERA_RETURN_IF_ERROR(new_chunk());
  }
  SlabChunk& chunk = *chunks_with_room_.begin()->second;
  if (++chunk.slabs_in_use == slabs_per_chunk_) chunks_with_room_.erase(chunks_with_room_.begin());
  Slab& slab = *std::find_if(chunk.slabs.begin(), chunk.slabs.end(), [](const Slab& candidate) {
    return candidate.size_class.load(std::memory_order_relaxed) == kSizeClasses;
  });
  slab.untaken_count = blocks_of(size_class);
  for (uint32_t number = 0; number < slab.untaken_count; ++number) {
    slab.untaken[number / 64] |= uint64_t{1} << number % 64;
  }
  slab.size_class.store(static_cast<uint8_t>(size_class), std::memory_order_release);
  return &slab;
}

Status SmallBlocks::new_chunk() {
  TESSERA_ASSIGN_OR_RETURN(const ExtentId extent, heap_.allocate_granule());
  SlabChunk* chunk = unused_;
  if (chunk != nullptr) {
    unused_ = chunk->next_unused;
  } else {
    records_.push_back(std::make_unique<SlabChunk>());
    chunk = records_.back().get();
    chunk->slabs = std::vector<Slab>(slabs_per_chunk_);
    for (Slab& slab : chunk->slabs) slab.chunk = chunk;
  }
  chunk->extent = extent;
  chunk->begin = heap_.map()[extent].begin;
  chunk->slabs_in_use = 0;
  chunks_with_room_.emplace(chunk->begin, chunk);
  heap_.map().set_slabs(chunk->begin, chunk);
  return {};
}

void SmallBlocks::retire(Slab& slab) {
  SlabChunk& chunk = *slab.chunk;
  slab.size_class.store(kSizeClasses, std::memory_order_release);
  slab.untaken = {};
  slab.untaken_count = 0;
  chunks_with_room_.emplace(chunk.begin, &chunk);
  if (--chunk.slabs_in_use > 0) return;
  chunks_with_room_.erase(chunk.begin);
  heap_.map().set_slabs(chunk.begin, nullptr);
  heap_.free(chunk.extent);
  chunk.next_unused = unused_;
  unused_ = &chunk;
}

void SmallBlocks::forget_all() {
  for (const auto& chunk : records_) {
    if (chunk->slabs_in_use > 0) heap_.map().set_slabs(chunk->begin, nullptr);
  }
}

}  // namespace tessera::memory
