#include "softgpu/driver/physical_memory.h"

#include <atomic>

#include "softgpu/driver/device.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/state.h"

namespace tessera::softgpu {
namespace {

// Apart from the ids that the allocation table gives.
constexpr uint64_t kFirstId = uint64_t{1} << 48;
std::atomic<uint64_t> next_id{kFirstId};

// Ordinals are each process's own.
std::string shareable_name(const Device& device) { return "softgpu-" + format_uuid(device.uuid()); }

Device* device_of(const MemoryFile& file) {
  for (Device* device : devices()) {
    if (file.name() == shareable_name(*device)) return device;
  }
  return nullptr;
}

}  // namespace

PhysicalMemory::PhysicalMemory(Device& device, DeviceMemory::Pages pages, bool shareable)
    : device_(device),
      pages_(std::move(pages)),
      shareable_(shareable),
      id_(next_id.fetch_add(1, std::memory_order_relaxed)) {}

Result<std::shared_ptr<PhysicalMemory>> PhysicalMemory::create(Device& device, uint64_t size,
                                                               bool shareable) {
  auto pages = shareable ? device.memory().take_shareable_pages(shareable_name(device), size)
                         : device.memory().take_pages(size);
  if (!pages.ok()) return pages.status();
  return std::shared_ptr<PhysicalMemory>(new PhysicalMemory(device, std::move(pages).value(), shareable));
}

Result<std::shared_ptr<PhysicalMemory>> PhysicalMemory::import(std::shared_ptr<MemoryFile> file) {
  Device* device = device_of(*file);
  if (device == nullptr || file->size() == 0 || file->size() % DeviceMemory::kPagesGranularity != 0)
    return Status::error(Code::kInvalidArgument, "no memory of a device of this process");
  TESSERA_ASSIGN_OR_RETURN(DeviceMemory::Pages pages, device->memory().adopt_pages(std::move(file)));
  return std::shared_ptr<PhysicalMemory>(new PhysicalMemory(*device, std::move(pages), true));
}

PhysicalMemory::~PhysicalMemory() { device_.memory().give_back_pages(pages_); }

CUmemGenericAllocationHandle PhysicalHandles::add(std::shared_ptr<PhysicalMemory> memory,
                                                  const CUmemAllocationProp& properties) {
  const CUmemGenericAllocationHandle value = next_handle();
  handles_.emplace(value, Handle{std::move(memory), properties});
  return value;
}

const PhysicalHandles::Handle* PhysicalHandles::find(CUmemGenericAllocationHandle handle,
                                                     bool given_out_only) const {
  const auto found = handles_.find(handle);
  if (found == handles_.end() || (given_out_only && found->second.given_out == 0)) return nullptr;
  return &found->second;
}

CUmemGenericAllocationHandle PhysicalHandles::holder_of(const MemoryFile& file) const {
  for (const auto& [value, handle] : handles_) {
    if (handle.memory->shareable() && handle.memory->file().same_as(file)) return value;
  }
  return 0;
}

void PhysicalHandles::unmapped(CUmemGenericAllocationHandle handle) {
  --handles_.at(handle).mappings;
  forget_if_unused(handle);
}

bool PhysicalHandles::released(CUmemGenericAllocationHandle handle) {
  const auto found = handles_.find(handle);
  if (found == handles_.end() || found->second.given_out == 0) return false;
  --found->second.given_out;
  forget_if_unused(handle);
  return true;
}

void PhysicalHandles::forget_if_unused(CUmemGenericAllocationHandle handle) {
  const auto found = handles_.find(handle);
  if (found->second.given_out == 0 && found->second.mappings == 0) handles_.erase(found);
}

}  // namespace tessera::softgpu
