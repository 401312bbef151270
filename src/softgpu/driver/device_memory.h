// The memory of one device in this process: charged to the shared device file, placed in the arena.
#pragma once

#include <memory>
#include <mutex>

#include "common/status.h"
#include "softgpu/device/device_file.h"
#include "softgpu/memory/arena.h"
#include "softgpu/memory/memory_file.h"

namespace tessera::softgpu {

class DeviceMemory {
 public:
  static Result<std::unique_ptr<DeviceMemory>> create(DeviceFile& file);

  // kResourceExhausted where the device, or the machine, has not that much.
  Result<RangeAllocator::Range> take(uint64_t size, uint64_t alignment = Arena::kGranularity);
  void give_back(RangeAllocator::Range range);
  bool contains(uint64_t address) const { return arena_->contains(address); }

  // Memory without addresses, which can be mapped where it is wanted, also in several places.
  struct Pages {
    std::shared_ptr<MemoryFile> file;
    uint64_t offset = 0, size = 0;
  };
  static constexpr uint64_t kPagesGranularity = 2u << 20;  // a card's, for size, place and offset
  // `size` is a multiple of kPagesGranularity. Zeros. kResourceExhausted as take().
  Result<Pages> take_pages(uint64_t size);
  // The same in a file of their own, which other processes can be given.
  Result<Pages> take_shareable_pages(const std::string& name, uint64_t size);
  // All of a file that another process took so: they count here as well.
  Result<Pages> adopt_pages(std::shared_ptr<MemoryFile> file);
  void give_back_pages(const Pages& pages);

 private:
  DeviceMemory(DeviceFile& file, std::unique_ptr<Arena> arena);
  Result<Pages> place_pages(uint64_t size);

  DeviceFile& file_;
  std::mutex mutex_;  // the members below
  std::unique_ptr<Arena> arena_;
  // One file for all pages that are not shareable: descriptors are the program's, and few.
  std::shared_ptr<MemoryFile> pages_;  // null before the first are taken
  RangeAllocator offsets_;             // in it
};

}  // namespace tessera::softgpu
