#include "softgpu/driver/physical_memory.h"

#include <atomic>

#include "softgpu/driver/device.h"
#include "softgpu/driver/handle_registry.h"

namespace tessera::softgpu {
namespace {

// Apart from the ids that the allocation table gives.
constexpr uint64_t kFirstId = uint64_t{1} << 48;
std::atomic<uint64_t> next_id{kFirstId};

}  // namespace

PhysicalMemory::PhysicalMemory(Device& device, DeviceMemory::Pages pages)
    : device_(device), pages_(std::move(pages)), id_(next_id.fetch_add(1, std::memory_order_relaxed)) {}

Result<std::shared_ptr<PhysicalMemory>> PhysicalMemory::create(Device& device, uint64_t size) {
  TESSERA_ASSIGN_OR_RETURN(DeviceMemory::Pages pages, device.memory().take_pages(size));
  return std::shared_ptr<PhysicalMemory>(new PhysicalMemory(device, std::move(pages)));
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
