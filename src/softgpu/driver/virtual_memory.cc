#include "softgpu/driver/virtual_memory.h"

#include <algorithm>
#include <cassert>

#include "common/log.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/memory_use.h"
#include "softgpu/driver/state.h"
#include "softgpu/driver/visibility.h"
#include "softgpu/memory/allocation_table.h"

namespace tessera::softgpu {
namespace {

CUresult out_of_memory(const Status& status) {
  LOG_INFO("memory", "%s", status.message().c_str());
  return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult not_imported(const Status& status) {
  LOG_INFO("memory", "%s", status.message().c_str());
  return status.code() == Code::kInvalidArgument ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_OUT_OF_MEMORY;
}

CUmemAllocationProp imported_properties(const PhysicalMemory& memory) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, memory.device().ordinal()};
  return properties;
}

CUmemAccess_flags access_of(const AddressRange& range) {
  if (range.end == 0) return CU_MEM_ACCESS_FLAGS_PROT_NONE;
  return range.writable ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_READ;
}

// A mapping's range in a device's map is the mapping, whole.
void give_access(Device& device, uint64_t begin, uint64_t end, CUmemAccess_flags flags) {
  AddressMap& map = device.addresses();
  const CUmemAccess_flags before = access_of(map.find(begin));
  if (before == flags) return;
  if (before != CU_MEM_ACCESS_FLAGS_PROT_NONE) {
    const Status status = map.erase(begin);
    assert(status.ok());
  }
  if (flags == CU_MEM_ACCESS_FLAGS_PROT_NONE) return;
  const Status status = map.insert({begin, end, flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE});
  assert(status.ok());
}

}  // namespace

VirtualMemory& VirtualMemory::instance() {
  static auto* made = new VirtualMemory();
  return *made;
}

CUresult VirtualMemory::reserve(uint64_t size, uint64_t alignment, uint64_t hint, uint64_t* begin) {
  auto addresses = ReservedAddresses::take(size, alignment, hint);
  if (!addresses.ok()) return out_of_memory(addresses.status());
  *begin = addresses->begin();
  std::lock_guard lock(mutex_);
  reservations_.emplace(*begin, std::move(addresses).value());
  return CUDA_SUCCESS;
}

CUresult VirtualMemory::free(uint64_t begin, uint64_t size) {
  std::lock_guard lock(mutex_);
  const auto found = reservations_.find(begin);
  if (found == reservations_.end() || found->second.size() != size) return CUDA_ERROR_INVALID_VALUE;
  const auto mapped = mappings_.lower_bound(begin);
  if (mapped != mappings_.end() && found->second.contains(mapped->first)) return CUDA_ERROR_INVALID_VALUE;
  reservations_.erase(found);
  return CUDA_SUCCESS;
}

const ReservedAddresses* VirtualMemory::reservation_locked(uint64_t address) const {
  const auto after = reservations_.upper_bound(address);
  if (after == reservations_.begin()) return nullptr;
  const ReservedAddresses& candidate = std::prev(after)->second;
  return candidate.contains(address) ? &candidate : nullptr;
}

std::optional<RangeAllocator::Range> VirtualMemory::reservation(uint64_t address) const {
  std::shared_lock lock(mutex_);
  const ReservedAddresses* found = reservation_locked(address);
  if (found == nullptr) return std::nullopt;
  return RangeAllocator::Range{found->begin(), found->size()};
}

VirtualMemory::Mappings::const_iterator VirtualMemory::mapping_locked(uint64_t address) const {
  const auto after = mappings_.upper_bound(address);
  if (after == mappings_.begin()) return mappings_.end();
  const auto candidate = std::prev(after);
  return address - candidate->first < candidate->second.size ? candidate : mappings_.end();
}

std::vector<uint64_t> VirtualMemory::mappings_locked(uint64_t address, uint64_t size) const {
  std::vector<uint64_t> found;
  uint64_t covered = 0;
  for (auto it = mappings_.find(address); covered < size; ++it) {
    if (it == mappings_.end() || it->first != address + covered || it->second.size > size - covered)
      return {};
    found.push_back(it->first);
    covered += it->second.size;
  }
  return found;
}

CUresult VirtualMemory::create(Device& device, uint64_t size, const CUmemAllocationProp& properties,
                               CUmemGenericAllocationHandle* handle) {
  const bool shareable = properties.requestedHandleTypes != CU_MEM_HANDLE_TYPE_NONE;
  auto memory = PhysicalMemory::create(device, size, shareable);
  if (!memory.ok()) return out_of_memory(memory.status());
  std::lock_guard lock(mutex_);
  *handle = handles_.add(std::move(memory).value(), properties);
  return CUDA_SUCCESS;
}

CUresult VirtualMemory::export_file(CUmemGenericAllocationHandle handle, int* fd) {
  std::shared_lock lock(mutex_);
  const PhysicalHandles::Handle* found = handles_.find(handle);
  if (found == nullptr || !found->memory->shareable()) return CUDA_ERROR_INVALID_VALUE;
  auto duplicate = found->memory->file().duplicate();
  if (!duplicate.ok()) return out_of_memory(duplicate.status());
  *fd = duplicate->release();
  return CUDA_SUCCESS;
}

CUresult VirtualMemory::import_file(int fd, CUmemGenericAllocationHandle* handle) {
  auto file = MemoryFile::open(fd);
  if (!file.ok()) return not_imported(file.status());
  std::lock_guard lock(mutex_);
  if (const CUmemGenericAllocationHandle known = handles_.holder_of(**file); known != 0) {
    handles_.retained(known);
    *handle = known;
    return CUDA_SUCCESS;
  }
  auto memory = PhysicalMemory::import(std::move(file).value());
  if (!memory.ok()) return not_imported(memory.status());
  const CUmemAllocationProp properties = imported_properties(**memory);
  *handle = handles_.add(std::move(memory).value(), properties);
  return CUDA_SUCCESS;
}

CUresult VirtualMemory::release(CUmemGenericAllocationHandle handle) {
  std::lock_guard lock(mutex_);
  return handles_.released(handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult VirtualMemory::retain(uint64_t address, CUmemGenericAllocationHandle* handle) {
  std::lock_guard lock(mutex_);
  const auto mapping = mapping_locked(address);
  if (mapping == mappings_.end()) return CUDA_ERROR_INVALID_VALUE;
  *handle = mapping->second.handle;
  handles_.retained(*handle);
  return CUDA_SUCCESS;
}

CUresult VirtualMemory::properties(CUmemGenericAllocationHandle handle,
                                   CUmemAllocationProp* properties) const {
  std::shared_lock lock(mutex_);
  const PhysicalHandles::Handle* found = handles_.find(handle);
  if (found == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *properties = found->properties;
  return CUDA_SUCCESS;
}

bool VirtualMemory::free_for_mapping_locked(uint64_t address, uint64_t size) const {
  const ReservedAddresses* addresses = reservation_locked(address);
  if (addresses == nullptr || size > addresses->end() - address) return false;
  const auto next = mappings_.upper_bound(address);
  return mapping_locked(address) == mappings_.end() &&
         (next == mappings_.end() || next->first - address >= size);
}

void VirtualMemory::enter_locked(uint64_t address, uint64_t size, const PhysicalHandles::Handle& handle) {
  const ReservedAddresses& addresses = *reservation_locked(address);
  Allocation allocation;
  allocation.begin = address;
  allocation.size = size;
  allocation.kind = MemoryKind::kVirtual;
  allocation.device = handle.memory->device().ordinal();
  allocation.handle_types = handle.properties.requestedHandleTypes;
  allocation.block_id = handle.memory->id();
  allocation.range_begin = addresses.begin();
  allocation.range_size = addresses.size();
  const Status status = AllocationTable::instance().insert(allocation);
  assert(status.ok());
}

CUresult VirtualMemory::map(uint64_t address, uint64_t size, CUmemGenericAllocationHandle handle) {
  std::lock_guard lock(mutex_);
  const PhysicalHandles::Handle* found = handles_.find(handle);
  if (found == nullptr || size > found->memory->size() || !free_for_mapping_locked(address, size))
    return CUDA_ERROR_INVALID_VALUE;
  // A program that registered reserved addresses as host memory.
  if (AllocationTable::instance().overlaps(address, size)) return CUDA_ERROR_INVALID_VALUE;
  if (const Status mapped = found->memory->map(address, size); !mapped.ok()) return out_of_memory(mapped);
  enter_locked(address, size, *found);
  mappings_.emplace(address, Mapping{size, handle});
  handles_.mapped(handle);
  return CUDA_SUCCESS;
}

CUresult VirtualMemory::unmap(uint64_t address, uint64_t size) {
  std::vector<uint64_t> parts;
  {
    std::shared_lock lock(mutex_);
    parts = mappings_locked(address, size);
  }
  if (parts.empty()) return CUDA_ERROR_INVALID_VALUE;
  for (const uint64_t part : parts) wait_for_users(part);
  std::lock_guard lock(mutex_);
  if (mappings_locked(address, size) != parts) return CUDA_ERROR_INVALID_VALUE;  // another thread was faster
  for (const uint64_t part : parts) {
    const Mapping mapping = mappings_.at(part);
    for (Device* device : devices())
      give_access(*device, part, part + mapping.size, CU_MEM_ACCESS_FLAGS_PROT_NONE);
    wait_until_unused(part, part + mapping.size);
    const Status cleared = reservation_locked(part)->clear(part, mapping.size);
    if (!cleared.ok()) return out_of_memory(cleared);
    AllocationTable::instance().remove(part, [](const Allocation&) { return true; });
    mappings_.erase(part);
    handles_.unmapped(mapping.handle);
  }
  return CUDA_SUCCESS;
}

CUresult VirtualMemory::set_access(uint64_t address, uint64_t size, std::span<const CUmemAccessDesc> wanted) {
  {
    std::shared_lock lock(mutex_);
    if (mappings_locked(address, size).empty()) return CUDA_ERROR_INVALID_VALUE;
  }
  // What runs was given the access there was.
  for (const CUmemAccessDesc& each : wanted) {
    Device& device = *devices()[static_cast<size_t>(each.location.id)];
    if (device.addresses().find(address).end != 0) device.wait_idle();
  }
  std::lock_guard lock(mutex_);
  const std::vector<uint64_t> parts = mappings_locked(address, size);
  if (parts.empty()) return CUDA_ERROR_INVALID_VALUE;
  for (const CUmemAccessDesc& each : wanted) {
    Device& device = *devices()[static_cast<size_t>(each.location.id)];
    for (const uint64_t part : parts) give_access(device, part, part + mappings_.at(part).size, each.flags);
  }
  return CUDA_SUCCESS;
}

CUresult VirtualMemory::get_access(Device& device, uint64_t address, CUmemAccess_flags* flags) const {
  std::shared_lock lock(mutex_);
  if (mapping_locked(address) == mappings_.end()) return CUDA_ERROR_INVALID_VALUE;
  *flags = access_of(device.addresses().find(address));
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu
