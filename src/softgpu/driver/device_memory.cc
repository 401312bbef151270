#include "softgpu/driver/device_memory.h"

namespace tessera::softgpu {
namespace {

// Addresses are cheaper than memory: with twice as many, holes between allocations rarely cost capacity.
constexpr uint64_t kAddressFactor = 2;

}  // namespace

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::create(DeviceFile& file) {
  auto arena = Arena::reserve(file.capacity_bytes() * kAddressFactor);
  if (!arena.ok()) arena = Arena::reserve(file.capacity_bytes());  // a limit on address space (RLIMIT_AS)
  if (!arena.ok()) return arena.status();
  return std::unique_ptr<DeviceMemory>(new DeviceMemory(file, std::move(arena).value()));
}

Result<RangeAllocator::Range> DeviceMemory::take(uint64_t size, uint64_t alignment) {
  if (size == 0 || size > file_.capacity_bytes()) {
    return Status::error(Code::kResourceExhausted, "%llu bytes asked for; the device has %llu",
                         static_cast<unsigned long long>(size),
                         static_cast<unsigned long long>(file_.capacity_bytes()));
  }
  const uint64_t rounded = (size + Arena::kGranularity - 1) / Arena::kGranularity * Arena::kGranularity;
  TESSERA_RETURN_IF_ERROR(file_.charge(rounded));
  std::unique_lock lock(mutex_);
  auto range = arena_->allocate(rounded, alignment);
  lock.unlock();
  if (!range.ok()) file_.credit(rounded);
  return range;
}

void DeviceMemory::give_back(RangeAllocator::Range range) {
  {
    std::lock_guard lock(mutex_);
    arena_->free(range);
  }
  file_.credit(range.size);
}

}  // namespace tessera::softgpu
