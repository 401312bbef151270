// Which addresses a kernel of one context's process may touch: device allocations, pinned host memory,
// managed memory.
//
// Readers (the interpreter, thousands of times per microsecond) never lock: they hold a snapshot and look
// again in a fresh one on a miss. Writers copy the sorted range list under a mutex and publish it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "common/status.h"
#include "softgpu/memory/address_range.h"
#include "softgpu/memory/demand_pages.h"

namespace tessera::softgpu {

class AddressMap {
 public:
  using Snapshot = std::shared_ptr<const std::vector<AddressRange>>;

  AddressMap();
  // kAlreadyExists where the range overlaps one that is there.
  Status insert(AddressRange range);
  // Removes the range that begins at `begin`; kNotFound otherwise.
  Status erase(uint64_t begin);

  // Takes [begin, end) of each hole out of what may be touched, wherever ranges are now or come later, in
  // place of the holes before.
  void set_holes(std::vector<AddressRange> holes);

  Snapshot snapshot() const;
  // Changes with every insert and erase: a cached range is valid while this stays the same.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  // Where generation() reads from, for code that polls it without a call.
  const uint64_t* generation_address() const {
    static_assert(sizeof(generation_) == sizeof(uint64_t) && std::atomic<uint64_t>::is_always_lock_free);
    return reinterpret_cast<const uint64_t*>(&generation_);
  }
  // The range of the current snapshot that holds `address`, or an empty range.
  AddressRange find(uint64_t address) const;

  // For a kernel that is about to touch [address, address + bytes): the same, but of ranges on demand what it
  // may touch now, after its pages have come. Not before set_demand().
  AddressRange reach(uint64_t address, uint64_t bytes, bool write) const {
    const AddressRange range = find(address);
    return range.on_demand ? demand_->touch(address, bytes, write) : range;
  }
  void set_demand(DemandPages* demand) { demand_ = demand; }
  // What reach() answered may hold no longer.
  void changed() { generation_.fetch_add(1, std::memory_order_release); }

 private:
  void publish_locked(Snapshot whole);

  mutable std::mutex mutex_;
  Snapshot whole_;   // as inserted
  Snapshot ranges_;  // without the holes
  std::vector<AddressRange> holes_;
  std::atomic<uint64_t> generation_{1};
  DemandPages* demand_ = nullptr;
};

}  // namespace tessera::softgpu
