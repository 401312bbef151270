#include "virtualization/vgpu/managed_budget.h"

#include <algorithm>
#include <cassert>

namespace tessera::vgpu {

ManagedBudget::Change ManagedBudget::allocated(uint32_t index, uint64_t bytes, uint64_t charged) {
  Device& device = devices_[index];
  assert(charged <= bytes && bytes <= kMostBytes);
  device.allocated += bytes;
  device.charged += charged;
  return {device.charged, 0};
}

ManagedBudget::Change ManagedBudget::freed(uint32_t index, uint64_t bytes) {
  Device& device = devices_[index];
  assert(bytes <= device.allocated);
  device.allocated -= bytes;
  const uint64_t left = std::min(device.charged, device.allocated);
  const uint64_t credit = device.charged - left;
  device.charged = left;
  return {left, credit};
}

ManagedBudget::Change ManagedBudget::give_up(uint32_t index, uint64_t bytes) {
  Device& device = devices_[index];
  const uint64_t most = device.charged - std::min(device.charged, kLeastBytes);
  const uint64_t credit = std::min(bytes, most);
  device.charged -= credit;
  return {device.charged, credit};
}

}  // namespace tessera::vgpu
