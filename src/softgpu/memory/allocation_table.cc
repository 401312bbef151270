#include "softgpu/memory/allocation_table.h"

#include <mutex>

namespace tessera::softgpu {
namespace {

bool is_the_drivers(MemoryOwner owner) {
  return owner == MemoryOwner::kModule || owner == MemoryOwner::kLibrary || owner == MemoryOwner::kKernels;
}

}  // namespace

AllocationTable& AllocationTable::instance() {
  static auto* table = new AllocationTable();
  return *table;
}

bool AllocationTable::overlaps(uint64_t begin, uint64_t size) const {
  std::shared_lock lock(mutex_);
  auto next = allocations_.lower_bound(begin);
  if (next != allocations_.end() && next->first - begin < size) return true;
  return next != allocations_.begin() && std::prev(next)->second.end() > begin;
}

Status AllocationTable::insert(Allocation allocation) {
  std::lock_guard lock(mutex_);
  auto next = allocations_.lower_bound(allocation.begin);
  const bool hits_next = next != allocations_.end() && next->first - allocation.begin < allocation.size;
  const bool hits_previous = next != allocations_.begin() && std::prev(next)->second.end() > allocation.begin;
  if (hits_next || hits_previous) {
    return Status::error(Code::kAlreadyExists, "memory at %#llx is registered already",
                         static_cast<unsigned long long>(allocation.begin));
  }
  allocation.id = next_id_++;
  if (is_the_drivers(allocation.owner)) {
    DriverTook& took = driver_took_[allocation.device];
    took.bytes += allocation.range_size;
    if (allocation.owner == MemoryOwner::kLibrary) took.beside_contexts_bytes += allocation.range_size;
  }
  allocations_.emplace(allocation.begin, allocation);
  return {};
}

std::optional<Allocation> AllocationTable::find(uint64_t address) const {
  std::shared_lock lock(mutex_);
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return std::nullopt;
  const Allocation& candidate = std::prev(after)->second;
  if (address - candidate.begin >= candidate.size || candidate.owner == MemoryOwner::kKernels)
    return std::nullopt;
  return candidate;
}

bool AllocationTable::covers(uint64_t begin, uint64_t size) const {
  auto allocation = find(begin);
  return allocation && size <= allocation->end() - begin;
}

template <typename Predicate>
std::vector<Allocation> AllocationTable::select(Predicate&& matches) const {
  std::vector<Allocation> found;
  std::shared_lock lock(mutex_);
  for (const auto& [begin, allocation] : allocations_) {
    if (matches(allocation)) found.push_back(allocation);
  }
  return found;
}

std::vector<Allocation> AllocationTable::of_context(uint64_t context) const {
  return select([context](const Allocation& allocation) { return allocation.context == context; });
}

std::vector<Allocation> AllocationTable::of_device(int device) const {
  return select([device](const Allocation& allocation) { return allocation.device == device; });
}

DriverTook AllocationTable::driver_took(int device) const {
  std::shared_lock lock(mutex_);
  const auto found = driver_took_.find(device);
  return found == driver_took_.end() ? DriverTook() : found->second;
}

bool AllocationTable::set_sync_memops(uint64_t address, bool value) {
  std::lock_guard lock(mutex_);
  auto after = allocations_.upper_bound(address);
  if (after == allocations_.begin()) return false;
  Allocation& candidate = std::prev(after)->second;
  if (address - candidate.begin >= candidate.size) return false;
  candidate.sync_memops = value;
  return true;
}

}  // namespace tessera::softgpu
