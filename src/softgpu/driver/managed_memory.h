// Managed memory of this process: addresses of its own, pages that count on a device only while they are
// there (memory/managed_pages.h), and may be more than any device has.
//
// What is short of device memory otherwise takes it from managed pages of this process (make_room).
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "softgpu/memory/arena.h"
#include "softgpu/memory/demand_pages.h"
#include "softgpu/memory/managed_pages.h"

namespace tessera::softgpu {

class Device;

class ManagedMemory {
 public:
  static ManagedMemory& instance();

  // kResourceExhausted where the host has not that much memory. Zeros.
  Result<RangeAllocator::Range> take(uint64_t size, uint64_t alignment);
  void give_back(RangeAllocator::Range range);
  bool contains(uint64_t address) const;

  // Advice about managed memory that is elsewhere: variables of modules.
  void add_fixed(RangeAllocator::Range range);
  void remove_fixed(RangeAllocator::Range range);

  // Of the device of that ordinal, for its address map. Once for each, in order.
  DemandPages* attach(Device& device);
  // Managed pages leave the device for something else: at least so many bytes, or false.
  bool make_room(const Device& device, uint64_t bytes);
  // At most so many bytes of managed pages are on the device; more leave now.
  void set_limit(const Device& device, uint64_t bytes);
  PageFigures figures(const Device& device) const;

  // As of ManagedPages, for ranges within one allocation.
  void prefetch(uint64_t begin, uint64_t size, PageLocation to);
  void set_read_mostly(uint64_t begin, uint64_t size, bool on);
  void set_preferred(uint64_t begin, uint64_t size, PageLocation location);
  void set_accessed_by(uint64_t begin, uint64_t size, uint32_t who, bool on);
  ManagedPages::Advice advice(uint64_t begin, uint64_t size) const;

 private:
  class Devices : public ManagedPages::Devices {
   public:
    bool take(uint32_t device, uint64_t bytes) override;
    void give_back(uint32_t device, uint64_t bytes) override;
    void unmapped(uint32_t device) override;

    struct Known {
      Device* device;
      uint64_t used = 0;
      uint64_t limit = ~uint64_t{0};
    };
    std::vector<Known> known;  // by ordinal
  };
  class Touched : public DemandPages {
   public:
    Touched(ManagedMemory& memory, uint32_t device) : memory_(memory), device_(device) {}
    AddressRange touch(uint64_t address, uint64_t bytes, bool write) override;

   private:
    ManagedMemory& memory_;
    const uint32_t device_;
  };

  ManagedMemory() = default;
  Status reserve_locked();

  mutable std::mutex mutex_;
  Devices devices_;
  ManagedPages pages_{devices_};
  std::unique_ptr<Arena> arena_;  // null before the first memory is taken
  uint64_t taken_ = 0;
};

}  // namespace tessera::softgpu
