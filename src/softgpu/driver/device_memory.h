// The memory of one device in this process: charged to the shared device file, placed in the arena.
#pragma once

#include <memory>
#include <mutex>

#include "common/status.h"
#include "softgpu/device/device_file.h"
#include "softgpu/memory/arena.h"

namespace tessera::softgpu {

class DeviceMemory {
 public:
  static Result<std::unique_ptr<DeviceMemory>> create(DeviceFile& file);

  // kResourceExhausted where the device, or the machine, has not that much.
  Result<RangeAllocator::Range> take(uint64_t size, uint64_t alignment = Arena::kGranularity);
  void give_back(RangeAllocator::Range range);
  bool contains(uint64_t address) const { return arena_->contains(address); }

 private:
  DeviceMemory(DeviceFile& file, std::unique_ptr<Arena> arena) : file_(file), arena_(std::move(arena)) {}

  DeviceFile& file_;
  std::mutex mutex_;
  std::unique_ptr<Arena> arena_;
};

}  // namespace tessera::softgpu
