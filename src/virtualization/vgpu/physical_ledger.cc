#include "virtualization/vgpu/physical_ledger.h"

namespace tessera::vgpu {

void PhysicalLedger::created(Handle handle, const Charge& charge) { memory_[handle] = Memory{charge}; }

void PhysicalLedger::retained(Handle handle) {
  auto found = memory_.find(handle);
  if (found != memory_.end()) ++found->second.handles;
}

void PhysicalLedger::imported(Handle handle, const Charge& charge) {
  auto [entry, added] = memory_.try_emplace(handle, Memory{charge});
  if (added) {
    entry->second.imported = true;
  } else {
    ++entry->second.handles;
  }
}

std::optional<Charge> PhysicalLedger::uncharged(Handle handle, uint64_t bytes) const {
  auto found = memory_.find(handle);
  if (found == memory_.end() || !found->second.imported) return std::nullopt;
  const Charge& charge = found->second.charge;
  if (bytes <= charge.bytes) return std::nullopt;
  return Charge{bytes - charge.bytes, charge.device, nullptr};
}

void PhysicalLedger::mapped(CUdeviceptr address, uint64_t bytes, Handle handle) {
  auto found = memory_.find(handle);
  if (found == memory_.end()) return;
  ++found->second.mappings;
  mappings_[address] = Mapping{bytes, handle};
}

std::optional<Charge> PhysicalLedger::end_if_unused(Handle handle) {
  auto found = memory_.find(handle);
  if (found == memory_.end() || found->second.handles > 0 || found->second.mappings > 0) return std::nullopt;
  Charge charge = found->second.charge;
  memory_.erase(found);
  return charge;
}

std::optional<Charge> PhysicalLedger::released(Handle handle) {
  auto found = memory_.find(handle);
  if (found == memory_.end() || found->second.handles == 0) return std::nullopt;
  --found->second.handles;
  return end_if_unused(handle);
}

std::vector<Charge> PhysicalLedger::unmapped(CUdeviceptr address, uint64_t bytes) {
  std::vector<Charge> ended;
  auto mapping = mappings_.lower_bound(address);
  // The driver unmaps whole mappings only, so a mapping that begins inside the range ends inside it.
  while (mapping != mappings_.end() && mapping->first - address < bytes) {
    Handle handle = mapping->second.handle;
    mapping = mappings_.erase(mapping);
    --memory_.at(handle).mappings;
    if (auto charge = end_if_unused(handle)) ended.push_back(*charge);
  }
  return ended;
}

}  // namespace tessera::vgpu
