#include "softgpu/driver/device_memory.h"

namespace tessera::softgpu {
namespace {

// Addresses are cheaper than memory: with twice as many, holes between allocations rarely cost capacity. So
// are offsets in a file that takes memory only where it is used.
constexpr uint64_t kAddressFactor = 2;

uint64_t pages_file_bytes(const DeviceFile& file) {
  constexpr uint64_t kUnit = DeviceMemory::kPagesGranularity;
  return (file.capacity_bytes() * kAddressFactor + kUnit - 1) / kUnit * kUnit;
}

}  // namespace

Result<std::unique_ptr<DeviceMemory>> DeviceMemory::create(DeviceFile& file) {
  auto arena = Arena::reserve(file.capacity_bytes() * kAddressFactor);
  if (!arena.ok()) arena = Arena::reserve(file.capacity_bytes());  // a limit on address space (RLIMIT_AS)
  if (!arena.ok()) return arena.status();
  return std::unique_ptr<DeviceMemory>(new DeviceMemory(file, std::move(arena).value()));
}

DeviceMemory::DeviceMemory(DeviceFile& file, std::unique_ptr<Arena> arena)
    : file_(file), arena_(std::move(arena)), offsets_(0, pages_file_bytes(file), kPagesGranularity) {}

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

Result<DeviceMemory::Pages> DeviceMemory::place_pages(uint64_t size) {
  std::lock_guard lock(mutex_);
  if (!pages_) {
    TESSERA_ASSIGN_OR_RETURN(pages_, MemoryFile::create("softgpu", pages_file_bytes(file_)));
  }
  const auto place = offsets_.allocate(size, kPagesGranularity);
  if (!place) return Status::error(Code::kResourceExhausted, "device memory is in too many pieces");
  return Pages{pages_, place->begin, place->size};
}

Result<DeviceMemory::Pages> DeviceMemory::take_pages(uint64_t size) {
  TESSERA_RETURN_IF_ERROR(file_.charge(size));
  auto pages = place_pages(size);
  if (!pages.ok()) file_.credit(size);
  return pages;
}

Result<DeviceMemory::Pages> DeviceMemory::take_shareable_pages(const std::string& name, uint64_t size) {
  TESSERA_RETURN_IF_ERROR(file_.charge(size));
  auto made = MemoryFile::create(name, size);
  if (!made.ok()) {
    file_.credit(size);
    return made.status();
  }
  return Pages{std::move(made).value(), 0, size};
}

Result<DeviceMemory::Pages> DeviceMemory::adopt_pages(std::shared_ptr<MemoryFile> file) {
  TESSERA_RETURN_IF_ERROR(file_.charge(file->size()));
  const uint64_t size = file->size();
  return Pages{std::move(file), 0, size};
}

void DeviceMemory::give_back_pages(const Pages& pages) {
  std::unique_lock lock(mutex_);
  const bool place_in_common_file = pages.file == pages_;
  lock.unlock();
  if (place_in_common_file) {  // a file of their own goes with the last process that has it
    pages.file->discard(pages.offset, pages.size);
    lock.lock();
    offsets_.free({pages.offset, pages.size});
    lock.unlock();
  }
  file_.credit(pages.size);
}

}  // namespace tessera::softgpu
