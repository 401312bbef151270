#include "virtualization/residency/neighbour_store.h"

#include "common/log.h"

namespace tessera::vgpu {

NeighbourStore::NeighbourStore(const cuda::DriverTable& driver, CUdevice own,
                               const std::vector<Neighbour>& neighbours, uint64_t granule_bytes,
                               Account& account, uint32_t device)
    : granule_bytes_(granule_bytes), account_(account), device_(device) {
  for (const Neighbour& neighbour : neighbours) {
    auto memory = memory::DriverMemory::of_peer(driver, neighbour.ordinal, own);
    if (memory.ok() && memory->granularity() == granule_bytes) {
      reachable_.push_back({neighbour.uuid, std::move(memory).value()});
    } else if (!memory.ok()) {
      LOG_INFO("memory", "nothing is kept on %s: %s", neighbour.uuid.c_str(),
               memory.status().message().c_str());
    }
  }
}

bool NeighbourStore::charge(uint64_t bytes) {
  const size_t tries = used_ > 0 ? 1 : reachable_.size();
  for (size_t i = 0; i < tries; ++i) {
    if (used_ == 0) account_.set_neighbour(device_, current().uuid);
    if (account_.charge(device_, BudgetKind::kNeighbour, bytes).ok()) return true;
    if (used_ == 0) current_ = (current_ + 1) % reachable_.size();
  }
  return false;
}

bool NeighbourStore::add_addresses() {
  const auto begin = current().memory.reserve(kSegmentSlots * granule_bytes_);
  if (!begin.ok()) return false;
  for (size_t i = kSegmentSlots; i-- > 0;) {
    free_.push_back(static_cast<uint32_t>(slots_.size() + i));
  }
  for (size_t i = 0; i < kSegmentSlots; ++i) slots_.push_back({*begin + i * granule_bytes_, 0});
  return true;
}

std::optional<uint32_t> NeighbourStore::take_one() {
  if (free_.empty() && !add_addresses()) return std::nullopt;
  const uint32_t slot = free_.back();
  memory::DriverMemory& memory = current().memory;
  const auto granule = memory.create();
  if (!granule.ok()) return std::nullopt;  // others, of no slice, may hold some
  const memory::DeviceMemory::Handle handles[] = {*granule};
  if (!memory.map(slots_[slot].address, handles).ok()) {
    (void)memory.release(*granule);
    return std::nullopt;
  }
  slots_[slot].granule = *granule;
  free_.pop_back();
  ++used_;
  return slot;
}

std::vector<uint32_t> NeighbourStore::take(size_t most, uint64_t now_ns) {
  std::vector<uint32_t> taken;
  size_t charged = most;  // less than a batch is better than nothing
  while (charged > 0 && !charge(charged * granule_bytes_)) charged /= 2;
  for (; taken.size() < charged;) {
    const auto slot = take_one();
    if (!slot) break;
    taken.push_back(*slot);
  }
  if (taken.size() < charged)
    account_.credit(device_, BudgetKind::kNeighbour, (charged - taken.size()) * granule_bytes_);
  if (taken.empty()) pause(now_ns);
  return taken;
}

void NeighbourStore::give_back(uint32_t slot, Credit whose) {
  memory::DriverMemory& memory = current().memory;
  Status ended = memory.unmap(slots_[slot].address, 1);
  if (ended.ok()) ended = memory.release(slots_[slot].granule);
  if (ended.ok()) {
    free_.push_back(slot);
  } else {
    LOG_ERROR("memory", "memory of %s is not given back: %s", current().uuid.c_str(),
              ended.message().c_str());
  }
  slots_[slot].granule = 0;
  --used_;
  if (whose == Credit::kHere) account_.credit(device_, BudgetKind::kNeighbour, granule_bytes_);
}

}  // namespace tessera::vgpu
