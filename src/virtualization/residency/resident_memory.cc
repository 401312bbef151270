#include "virtualization/residency/resident_memory.h"

#include <cassert>
#include <vector>

#include "common/log.h"
#include "cuda/result_names.h"

namespace tessera::vgpu {

using cuda::status_of;

ResidentMemory::ResidentMemory(const cuda::DriverTable& driver, memory::DriverMemory lower, Account& account,
                               uint32_t device)
    : driver_(driver),
      lower_(std::move(lower)),
      account_(account),
      device_(device),
      store_(lower_.granularity(), account.numa_node(device)) {}

Result<ResidentMemory::Handle> ResidentMemory::create() {
  TESSERA_RETURN_IF_ERROR(account_.charge(device_, BudgetKind::kResident, granularity()));
  std::lock_guard lock(mutex_);
  Granule granule;
  const Status made = make_physical(granule);
  if (!made.ok()) {
    account_.credit(device_, BudgetKind::kResident, granularity());
    return made;
  }
  const Handle handle = next_++;
  granules_.emplace(handle, granule);
  return handle;
}

Status ResidentMemory::make_physical(Granule& granule) {
  TESSERA_ASSIGN_OR_RETURN(granule.physical, lower_.create());
  ++on_device_;
  return Status();
}

Status ResidentMemory::end_physical(Granule& granule) {
  --on_device_;
  return lower_.release(std::exchange(granule.physical, 0));
}

Status ResidentMemory::release(Handle handle) {
  std::lock_guard lock(mutex_);
  const auto found = granules_.find(handle);
  assert(found != granules_.end() && found->second.address == 0);
  if (found->second.physical != 0) {
    TESSERA_RETURN_IF_ERROR(end_physical(found->second));
    account_.credit(device_, BudgetKind::kResident, granularity());
  }
  granules_.erase(found);
  return Status();
}

// Those that were freed while they were out have no memory. Nobody else knows them: they are mapped nowhere.
Status ResidentMemory::fill_hollow(std::span<const Handle> handles) {
  for (const Handle handle : handles) {
    {
      std::lock_guard lock(mutex_);
      if (granules_.at(handle).physical != 0) continue;
    }
    TESSERA_RETURN_IF_ERROR(account_.charge(device_, BudgetKind::kResident, granularity()));
    std::lock_guard lock(mutex_);
    const Status made = make_physical(granules_.at(handle));
    if (made.ok()) continue;
    account_.credit(device_, BudgetKind::kResident, granularity());
    return made;
  }
  return Status();
}

Status ResidentMemory::map(uint64_t address, std::span<const Handle> handles) {
  TESSERA_RETURN_IF_ERROR(fill_hollow(handles));
  std::lock_guard lock(mutex_);
  std::vector<Handle> physical;
  physical.reserve(handles.size());
  for (const Handle handle : handles) physical.push_back(granules_.at(handle).physical);
  TESSERA_RETURN_IF_ERROR(lower_.map(address, physical));
  for (const Handle handle : handles) {
    granules_.at(handle).address = address;
    mapped_.emplace(address, handle);
    address += granularity();
  }
  return Status();
}

Status ResidentMemory::unmap(uint64_t address, uint64_t count) {
  std::lock_guard lock(mutex_);
  for (uint64_t i = 0; i < count; ++i, address += granularity()) {
    const auto found = mapped_.find(address);
    assert(found != mapped_.end());
    Granule& granule = granules_.at(found->second);
    if (granule.is_out) {
      store_.give_back(granule.slot);
      granule.is_out = false;
      --out_;
    } else {
      TESSERA_RETURN_IF_ERROR(lower_.unmap(address, 1));
    }
    granule.address = 0;
    mapped_.erase(found);
  }
  return Status();
}

Status ResidentMemory::move_out(Granule& granule) {
  TESSERA_ASSIGN_OR_RETURN(const uint32_t slot, store_.take());
  Status moved = status_of(driver_.cuMemcpyDtoH_v2(store_.at(slot), granule.address, granularity()),
                           "memory cannot be copied off the device");
  if (moved.ok()) moved = lower_.unmap(granule.address, 1);
  if (!moved.ok()) {
    store_.give_back(slot);
    return moved;
  }
  // Unmapped, it is out whether the driver lets go of it or not.
  granule.slot = slot;
  granule.is_out = true;
  ++out_;
  return end_physical(granule);
}

Status ResidentMemory::move_in(Granule& granule) {
  TESSERA_RETURN_IF_ERROR(make_physical(granule));
  const Handle physical[] = {granule.physical};
  Status moved = lower_.map(granule.address, physical);
  if (moved.ok()) {
    moved = status_of(driver_.cuMemcpyHtoD_v2(granule.address, store_.at(granule.slot), granularity()),
                      "memory cannot be copied back to the device");
    if (!moved.ok()) (void)lower_.unmap(granule.address, 1);
  }
  if (!moved.ok()) {
    (void)end_physical(granule);
    return moved;
  }
  store_.give_back(granule.slot);
  granule.is_out = false;
  --out_;
  return Status();
}

uint64_t ResidentMemory::evict(uint64_t bytes, Status& status) {
  std::lock_guard lock(mutex_);
  uint64_t moved = 0;
  // Round and round, so that no memory moves each time and other never.
  auto next = mapped_.upper_bound(last_evicted_);
  for (size_t left = mapped_.size(); left > 0 && moved < bytes; --left) {
    if (next == mapped_.end()) next = mapped_.begin();
    Granule& granule = granules_.at(next->second);
    if (!granule.is_out) {
      status = move_out(granule);
      if (!granule.is_out) break;
      moved += granularity();
      last_evicted_ = granule.address;
    }
    ++next;
  }
  account_.counters(device_).evicted_bytes.fetch_add(moved, std::memory_order_relaxed);
  return moved;
}

Result<uint64_t> ResidentMemory::restore(uint64_t charged_bytes) {
  std::lock_guard lock(mutex_);
  uint64_t moved = 0;
  for (auto& [address, handle] : mapped_) {
    Granule& granule = granules_.at(handle);
    if (!granule.is_out || charged_bytes - moved < granularity()) continue;
    const Status in = move_in(granule);
    if (!in.ok() && in.code() != Code::kResourceExhausted) return in;
    if (!in.ok()) {
      LOG_INFO("memory", "the device has less memory than was granted: %s", in.message().c_str());
      break;
    }
    moved += granularity();
  }
  account_.counters(device_).restored_bytes.fetch_add(moved, std::memory_order_relaxed);
  return moved;
}

uint64_t ResidentMemory::on_device_bytes() const {
  std::lock_guard lock(mutex_);
  return on_device_ * granularity();
}

uint64_t ResidentMemory::out_bytes() const {
  std::lock_guard lock(mutex_);
  return out_ * granularity();
}

}  // namespace tessera::vgpu
