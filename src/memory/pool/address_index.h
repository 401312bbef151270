// Which extent an address lies in, and what backs it: a table over one reserved address range, made a leaf at
// a time where extents begin. Extents tile the range, so an address belongs to the last one that begins at or
// before it; bits say where extents begin, so that one is found without walking.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "memory/device_memory.h"
#include "memory/pool/extent.h"

namespace tessera::memory {

struct SlabChunk;

class AddressIndex {
 public:
  AddressIndex(ExtentTable& extents, uint64_t begin, uint64_t size, uint64_t granularity);
  ~AddressIndex();
  AddressIndex(const AddressIndex&) = delete;
  AddressIndex& operator=(const AddressIndex&) = delete;

  bool holds(uint64_t address) const { return address - begin_ < size_; }
  uint64_t begin() const { return begin_; }
  uint64_t size() const { return size_; }

  // With the neighbours' links as they are while the extent is there.
  void insert(ExtentId id);
  void erase(ExtentId id);
  // The extent that holds `address`, an address of this range.
  ExtentId find(uint64_t address) const;

  // What backs the granule of an address; 0 where nothing does.
  void set_handle(uint64_t address, DeviceMemory::Handle handle) { granule(address).handle = handle; }
  DeviceMemory::Handle handle(uint64_t address) const;

  // The small blocks in the granule of an address. The one thing here that any thread may read at any time.
  void set_slabs(uint64_t address, SlabChunk* slabs) {
    granule(address).slabs.store(slabs, std::memory_order_release);
  }
  SlabChunk* slabs(uint64_t address) const;

 private:
  // Blocks of the heap are larger than half a page: few extents begin in one.
  static constexpr uint32_t kPages = 64;      // of a granule
  static constexpr uint32_t kGranules = 512;  // of a leaf

  struct Granule {
    std::atomic<SlabChunk*> slabs{nullptr};
    DeviceMemory::Handle handle = 0;
    uint64_t begun = 0;                    // a bit for each page in which an extent begins
    std::array<ExtentId, kPages> first{};  // the lowest of those
  };
  struct Leaf {
    std::array<Granule, kGranules> granules;
    std::array<uint64_t, kGranules / 64> begun{};  // a bit for each granule in which an extent begins
  };
  struct Place {
    uint64_t leaf;
    uint32_t granule, page;
  };

  Place place_of(uint64_t address) const;
  uint64_t page_of(uint64_t address) const { return (address - begin_) >> page_shift_; }
  const Leaf* leaf_at(uint64_t index) const { return leaves_[index].load(std::memory_order_acquire); }
  Leaf& leaf(uint64_t index);
  Granule& granule(uint64_t address);
  // The lowest extent that begins in the last page, up to that of `address`, in which one begins.
  ExtentId last_begun(uint64_t address) const;

  ExtentTable& extents_;
  const uint64_t begin_, size_;
  const uint32_t granule_shift_, page_shift_;
  std::vector<std::atomic<Leaf*>> leaves_;
};

}  // namespace tessera::memory
