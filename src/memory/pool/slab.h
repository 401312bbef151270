// Small blocks: granules are divided into slabs, slabs into blocks of one size. Blocks and slabs are taken at
// the lowest address that has one, so that granules at high addresses become empty.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "memory/pool/heap.h"
#include "memory/pool/size_class.h"

namespace tessera::memory {

// Where a block is. Any thread may look; who changes it from kLive is who frees the block.
enum class BlockState : uint8_t { kFree, kLive, kPending };

struct Slab {
  static constexpr uint64_t kBytes = uint64_t{128} << 10;
  static constexpr uint32_t kMostBlocks = kBytes / 512;

  std::atomic<uint8_t> size_class{kSizeClasses};  // kSizeClasses: none yet
  std::array<std::atomic<BlockState>, kMostBlocks> states{};
  std::array<std::atomic<uint16_t>, kMostBlocks> asked{};  // bytes, of live blocks

  // The rest is under the pool's lock.
  std::array<uint64_t, kMostBlocks / 64>
      untaken{};  // a bit for each block that is neither live nor in a cache
  uint32_t untaken_count = 0;
  SlabChunk* chunk = nullptr;

  uint64_t begin() const;
};

// The slabs of one granule. Records stay when the granule goes, for the next one.
struct SlabChunk {
  uint64_t begin = 0;
  ExtentId extent = kNoExtent;
  uint32_t slabs_in_use = 0;
  SlabChunk* next_unused = nullptr;
  std::vector<Slab> slabs;
};

inline uint64_t Slab::begin() const {
  return chunk->begin + static_cast<uint64_t>(this - chunk->slabs.data()) * kBytes;
}

// A small block by its address. `found` is false where none begins there.
struct SmallBlock {
  Slab* slab = nullptr;
  uint32_t number = 0;
  uint64_t begin = 0;
  bool found = false;  // the address is in a block
  bool at_begin = false;

  std::atomic<BlockState>& state() const { return slab->states[number]; }
  std::atomic<uint16_t>& asked() const { return slab->asked[number]; }
};

class SmallBlocks {
 public:
  explicit SmallBlocks(Heap& heap);

  // Any thread, without the lock. What a program does with addresses it does not own cannot break the
  // records: they are never unmapped, and all that is looked at here is atomic or fixed.
  SmallBlock find(uint64_t address) const;

  // The rest under the pool's lock. Takes up to `addresses.size()` blocks; an error where there was not one.
  Result<size_t> take(uint32_t size_class, std::span<uint64_t> addresses);
  // Blocks whose state is kFree, of any class.
  void give_back(std::span<const uint64_t> addresses);
  // Before the heap is closed.
  void forget_all();

 private:
  Result<Slab*> new_slab(uint32_t size_class);
  Status new_chunk();
  void retire(Slab& slab);

  Heap& heap_;
  const uint32_t slabs_per_chunk_;
  std::array<std::map<uint64_t, Slab*>, kSizeClasses> partial_;  // slabs with blocks left, by address
  std::map<uint64_t, SlabChunk*> chunks_with_room_;              // by address
  std::vector<std::unique_ptr<SlabChunk>> records_;
  SlabChunk* unused_ = nullptr;
};

}  // namespace tessera::memory
