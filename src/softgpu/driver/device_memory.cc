#include "softgpu/driver/device_memory.h"

#include "common/bytes.h"

namespace tessera::softgpu {
namespace {

// Addresses are cheaper than memory: with twice as many, holes between allocations rarely cost capacity. So
// are offsets in a file that takes memory only where it is used.
constexpr uint64_t kAddressFactor = 2;

constexpr uint64_t kHostPageBytes = 4096;

MemoryPlace place_of(const MemoryFile& file, uint64_t offset) {
  return {file.device(), file.inode(), offset};
}

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

Status DeviceMemory::charge(uint64_t bytes) {
  Status charged = file_.charge(bytes);
  if (charged.code() != Code::kResourceExhausted || !make_room_) return charged;
  const uint64_t free = file_.free_bytes();
  return free < bytes && make_room_(bytes - free) ? file_.charge(bytes) : charged;
}

Result<RangeAllocator::Range> DeviceMemory::take(uint64_t size, uint64_t alignment) {
  if (size == 0 || size > file_.capacity_bytes()) {
    return Status::error(Code::kResourceExhausted, "%llu bytes asked for; the device has %llu",
                         static_cast<unsigned long long>(size),
                         static_cast<unsigned long long>(file_.capacity_bytes()));
  }
  const uint64_t rounded = (size + Arena::kGranularity - 1) / Arena::kGranularity * Arena::kGranularity;
  TESSERA_RETURN_IF_ERROR(charge(rounded));
  std::unique_lock lock(mutex_);
  take_back_lent_locked();
  auto range = arena_->allocate(rounded, alignment);
  lock.unlock();
  if (!range.ok()) file_.credit(rounded);
  return range;
}

void DeviceMemory::give_back(RangeAllocator::Range range) {
  std::unique_lock lock(mutex_);
  take_back_lent_locked();
  if (auto shared = shared_.extract(range.begin)) {
    end_shared_locked(shared.mapped(), range);
    return;
  }
  arena_->free(range);
  lock.unlock();
  file_.credit(range.size);
}

void DeviceMemory::end_shared_locked(const Shared& shared, RangeAllocator::Range range) {
  const bool held = let_go_of_memory(file_, shared.id);
  if (shared.addresses) return;  // they go with it
  if (held) {
    lent_.push_back({range, shared.id});
  } else {
    arena_->free(range);
  }
}

void DeviceMemory::take_back_lent_locked() {
  std::erase_if(lent_, [this](const Lent& lent) {
    if (is_held(file_, lent.id)) return false;
    arena_->free(lent.range);
    return true;
  });
}

Result<uint64_t> DeviceMemory::export_range(RangeAllocator::Range range, uint64_t allocated, uint64_t pool) {
  std::lock_guard lock(mutex_);
  if (const auto known = shared_.find(range.begin); known != shared_.end()) return known->second.id;
  const MemoryFile& file = arena_->file();
  const MemoryPlace place = place_of(file, arena_->offset_of(range.begin));
  TESSERA_ASSIGN_OR_RETURN(const uint64_t id,
                           export_memory(file_, {place, range.size, allocated, file.fd(), pool}));
  shared_.emplace(range.begin, Shared{id, std::nullopt});
  return id;
}

bool DeviceMemory::is_shared(RangeAllocator::Range range) const {
  std::lock_guard lock(mutex_);
  return shared_.contains(range.begin);
}

Result<DeviceMemory::Imported> DeviceMemory::import(uint64_t id, uint64_t pool) {
  std::lock_guard lock(mutex_);
  for (const auto& [begin, shared] : shared_) {
    if (shared.id == id && shared.addresses)
      return Status::error(Code::kAlreadyExists, "the memory is imported already");
  }
  pid_t exporter = 0;
  TESSERA_ASSIGN_OR_RETURN(const ExportedMemory memory, hold_exported_memory(file_, id, pool, &exporter));
  auto imported = map_exported_locked(id, memory, exporter);
  if (!imported.ok()) let_go_of_memory(file_, id);
  return imported;
}

// Whole pages: what else is in the first and the last is seen by this process, but by no kernel of it.
Result<DeviceMemory::Imported> DeviceMemory::map_exported_locked(uint64_t id, const ExportedMemory& memory,
                                                                 pid_t exporter) {
  const MemoryPlace& place = memory.place;
  TESSERA_ASSIGN_OR_RETURN(const std::shared_ptr<MemoryFile> file,
                           MemoryFile::open_of(exporter, memory.fd, place.device, place.inode));
  if (memory.allocated == 0 || memory.allocated > memory.size ||
      !range_fits(place.offset, memory.size, file->size()))
    return Status::error(Code::kNotFound, "the memory lies outside of its file");
  const uint64_t before = place.offset % kHostPageBytes;
  const uint64_t bytes = (before + memory.size + kHostPageBytes - 1) / kHostPageBytes * kHostPageBytes;
  TESSERA_ASSIGN_OR_RETURN(ReservedAddresses addresses, ReservedAddresses::take(bytes, Arena::kChunkBytes));
  TESSERA_RETURN_IF_ERROR(file->map(addresses.begin(), place.offset - before, bytes));
  const RangeAllocator::Range range{addresses.begin() + before, memory.size};
  shared_.emplace(range.begin, Shared{id, std::move(addresses)});
  return Imported{range, memory.allocated};
}

Result<DeviceMemory::Pages> DeviceMemory::place_pages(uint64_t size) {
  std::lock_guard lock(mutex_);
  if (!pages_) {
    TESSERA_ASSIGN_OR_RETURN(pages_, MemoryFile::create("softgpu", pages_file_bytes(file_)));
  }
  const auto place = offsets_.allocate(size, kPagesGranularity);
  if (!place) return Status::error(Code::kResourceExhausted, "device memory is in too many pieces");
  return Pages{pages_, place->begin, place->size, 0};
}

Result<DeviceMemory::Pages> DeviceMemory::take_pages(uint64_t size) {
  TESSERA_RETURN_IF_ERROR(charge(size));
  auto pages = place_pages(size);
  if (!pages.ok()) file_.credit(size);
  return pages;
}

Result<DeviceMemory::Pages> DeviceMemory::take_shareable_pages(const std::string& name, uint64_t size) {
  TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<MemoryFile> made, MemoryFile::create(name, size));
  return adopt_pages(std::move(made));
}

Result<DeviceMemory::Pages> DeviceMemory::adopt_pages(std::shared_ptr<MemoryFile> file) {
  const uint64_t size = file->size();
  auto id = hold_shared_memory(file_, place_of(*file, 0), size);
  if (id.status().code() == Code::kResourceExhausted && make_room_ && make_room_(size))
    id = hold_shared_memory(file_, place_of(*file, 0), size);
  if (!id.ok()) return id.status();
  return Pages{std::move(file), 0, size, *id};
}

void DeviceMemory::give_back_pages(const Pages& pages) {
  if (pages.shared_id != 0) {  // a file of their own goes with the last process that has it
    let_go_of_memory(file_, pages.shared_id);
    return;
  }
  pages.file->discard(pages.offset, pages.size);
  {
    std::lock_guard lock(mutex_);
    offsets_.free({pages.offset, pages.size});
  }
  file_.credit(pages.size);
}

}  // namespace tessera::softgpu
