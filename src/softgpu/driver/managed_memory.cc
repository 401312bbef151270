#include "softgpu/driver/managed_memory.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>

#include "common/size.h"
#include "softgpu/driver/device.h"

namespace tessera::softgpu {
namespace {

uint64_t host_bytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
}

uint64_t rounded(uint64_t size) {
  return (size + Arena::kGranularity - 1) / Arena::kGranularity * Arena::kGranularity;
}

uint32_t number(const Device& device) { return static_cast<uint32_t>(device.ordinal()); }

}  // namespace

ManagedMemory& ManagedMemory::instance() {
  static auto* made = new ManagedMemory();
  return *made;
}

bool ManagedMemory::Devices::take(uint32_t device, uint64_t bytes) {
  Known& one = known[device];
  if (bytes > one.limit - std::min(one.used, one.limit) || !one.device->file().charge(bytes).ok())
    return false;
  one.used += bytes;
  return true;
}

void ManagedMemory::Devices::give_back(uint32_t device, uint64_t bytes) {
  known[device].used -= bytes;
  known[device].device->file().credit(bytes);
}

void ManagedMemory::Devices::unmapped(uint32_t device) { known[device].device->addresses().changed(); }

AddressRange ManagedMemory::Touched::touch(uint64_t address, uint64_t bytes, bool write) {
  std::lock_guard lock(memory_.mutex_);
  return memory_.pages_.touch(device_, address, bytes, write);
}

DemandPages* ManagedMemory::attach(Device& device) {
  std::lock_guard lock(mutex_);
  assert(devices_.known.size() == number(device));
  devices_.known.push_back({&device});
  return new Touched(*this, number(device));  // as long as the process, as the device
}

// Twice the addresses that there can be memory for, so that holes between allocations rarely matter.
Status ManagedMemory::reserve_locked() {
  if (arena_) return {};
  constexpr uint64_t kAddressFactor = 2;
  constexpr const char* kName = "softgpu-managed";
  auto arena = Arena::reserve(kAddressFactor * host_bytes(), kName, Arena::PageSize::kSmall);
  if (!arena.ok())
    arena = Arena::reserve(host_bytes() / kAddressFactor, kName,
                           Arena::PageSize::kSmall);  // a limit on address space or files
  if (!arena.ok()) return arena.status();
  arena_ = std::move(arena).value();
  return {};
}

Result<RangeAllocator::Range> ManagedMemory::take(uint64_t size, uint64_t alignment) {
  std::lock_guard lock(mutex_);
  if (size == 0 || size > host_bytes() || rounded(size) > host_bytes() - std::min(taken_, host_bytes())) {
    return Status::error(
        Code::kResourceExhausted,
        "%s of managed memory asked for, beside %s: the machine has %s, which all of it may be in",
        format_size(size).c_str(), format_size(taken_).c_str(), format_size(host_bytes()).c_str());
  }
  TESSERA_RETURN_IF_ERROR(reserve_locked());
  TESSERA_ASSIGN_OR_RETURN(const RangeAllocator::Range range, arena_->allocate(rounded(size), alignment));
  pages_.insert(range.begin, range.size, false);
  taken_ += range.size;
  return range;
}

void ManagedMemory::give_back(RangeAllocator::Range range) {
  std::lock_guard lock(mutex_);
  pages_.erase(range.begin);
  arena_->free(range);
  taken_ -= range.size;
}

bool ManagedMemory::contains(uint64_t address) const {
  std::lock_guard lock(mutex_);
  return arena_ && arena_->contains(address);
}

void ManagedMemory::add_fixed(RangeAllocator::Range range) {
  std::lock_guard lock(mutex_);
  pages_.insert(range.begin, range.size, true);
}

void ManagedMemory::remove_fixed(RangeAllocator::Range range) {
  std::lock_guard lock(mutex_);
  pages_.erase(range.begin);
}

bool ManagedMemory::make_room(const Device& device, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  return number(device) < devices_.known.size() && pages_.reclaim(number(device), bytes) >= bytes;
}

void ManagedMemory::set_limit(const Device& device, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  auto& known = devices_.known[number(device)];
  known.limit = bytes;
  if (known.used > bytes) pages_.reclaim(number(device), known.used - bytes);
}

PageFigures ManagedMemory::figures(const Device& device) const {
  std::lock_guard lock(mutex_);
  return pages_.figures(number(device));
}

void ManagedMemory::prefetch(uint64_t begin, uint64_t size, PageLocation to) {
  std::lock_guard lock(mutex_);
  pages_.prefetch(begin, size, to);
}

void ManagedMemory::set_read_mostly(uint64_t begin, uint64_t size, bool on) {
  std::lock_guard lock(mutex_);
  pages_.set_read_mostly(begin, size, on);
}

void ManagedMemory::set_preferred(uint64_t begin, uint64_t size, PageLocation location) {
  std::lock_guard lock(mutex_);
  pages_.set_preferred(begin, size, location);
}

void ManagedMemory::set_accessed_by(uint64_t begin, uint64_t size, uint32_t who, bool on) {
  std::lock_guard lock(mutex_);
  pages_.set_accessed_by(begin, size, who, on);
}

ManagedPages::Advice ManagedMemory::advice(uint64_t begin, uint64_t size) const {
  std::lock_guard lock(mutex_);
  return pages_.advice(begin, size);
}

}  // namespace tessera::softgpu
