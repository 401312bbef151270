#include "virtualization/residency/resident_memory.h"

#include <algorithm>
#include <cassert>

#include "common/failpoint.h"
#include "common/huge_pages.h"
#include "common/log.h"
#include "cuda/managed_memory_table.h"

namespace tessera::vgpu {

Status ResidentMemory::HostBudget::charge(uint64_t bytes) {
  if (account_.swap().host_bounded == 0) return Status();
  if (!spending_) return account_.charge(device_, BudgetKind::kSwap, bytes);
  if (bytes > *spending_) return Status(Code::kResourceExhausted, "more than was charged for it");
  *spending_ -= bytes;
  return Status();
}

void ResidentMemory::HostBudget::credit(uint64_t bytes) {
  if (account_.swap().host_bounded == 0) return;
  if (spending_) {
    *spending_ += bytes;
  } else {
    account_.credit(device_, BudgetKind::kSwap, bytes);
  }
}

namespace {

// Whether the device's memory is the host's, and in small pages there: a software GPU's, as a rule.
bool leaves_small_pages(const cuda::DriverTable& driver) {
  const void* table = nullptr;
  return !shared_memory_may_be_huge() && driver.cuGetExportTable != nullptr &&
         driver.cuGetExportTable(&table, &cuda::kManagedMemoryTable) == CUDA_SUCCESS && table != nullptr;
}

}  // namespace

Result<std::unique_ptr<ResidentMemory>> ResidentMemory::create(const cuda::DriverTable& driver,
                                                               memory::DriverMemory lower, Account& account,
                                                               uint32_t device,
                                                               std::unique_ptr<NeighbourStore> neighbours) {
  std::unique_ptr<ResidentMemory> made(
      new ResidentMemory(driver, std::move(lower), account, device, std::move(neighbours)));
  const SwapTerms& terms = account.swap();
  const memory::SwapOptions options{static_cast<memory::SwapEncoding>(terms.encoding), terms.encrypt != 0,
                                    terms.directory, static_cast<memory::NeighbourUse>(terms.neighbour_use),
                                    account.numa_node(device)};
  TESSERA_ASSIGN_OR_RETURN(
      made->store_, memory::SwapStore::create(made->granularity(), options, made->budget_,
                                              &memory::HostStore::look_at_host, leaves_small_pages(driver)));
  return made;
}

ResidentMemory::ResidentMemory(const cuda::DriverTable& driver, memory::DriverMemory lower, Account& account,
                               uint32_t device, std::unique_ptr<NeighbourStore> neighbours)
    : driver_(driver),
      lower_(std::move(lower)),
      account_(account),
      device_(device),
      helpers_(std::make_unique<Helpers>(Helpers::count_for_processors(), account.numa_node(device))),
      budget_(account, device),
      neighbours_(std::move(neighbours)),
      way_(static_cast<memory::NeighbourUse>(account.swap().neighbour_use)) {}

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

uint64_t ResidentMemory::hollow(std::span<const Handle> handles) const {
  const auto is_hollow = [&](Handle handle) { return granules_.at(handle).physical == 0; };
  return static_cast<uint64_t>(std::count_if(handles.begin(), handles.end(), is_hollow));
}

Status ResidentMemory::fill_hollow(std::span<const Handle> handles, uint64_t charged) {
  Status made;
  for (const Handle handle : handles) {
    Granule& granule = granules_.at(handle);
    if (charged == 0 || granule.physical != 0) continue;
    made = make_physical(granule);
    if (!made.ok()) break;
    --charged;
  }
  if (charged > 0) account_.credit(device_, BudgetKind::kResident, charged * granularity());
  return made;
}

// Those that were freed while they were out have no memory, nor have those that had to go before they were
// mapped. It is asked for in one: who waits for a part of it holds nothing that others could not have.
Status ResidentMemory::map(uint64_t address, std::span<const Handle> handles) {
  std::unique_lock lock(mutex_);
  while (const uint64_t missing = hollow(handles)) {
    lock.unlock();
    TESSERA_RETURN_IF_ERROR(account_.charge(device_, BudgetKind::kResident, missing * granularity()));
    lock.lock();
    TESSERA_RETURN_IF_ERROR(fill_hollow(handles, missing));
  }
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
      give_back_kept(granule);
      granule.is_out = false;
      granule.slot.reset();
      --out_;
      publish();
    } else {
      TESSERA_RETURN_IF_ERROR(lower_.unmap(address, 1));
    }
    granule.address = 0;
    mapped_.erase(found);
  }
  return Status();
}

bool ResidentMemory::let_go(Granule& granule, Status& status) {
  const Status unmapped = lower_.unmap(granule.address, 1);
  if (!unmapped.ok()) {
    status = unmapped;
    return false;
  }
  // Unmapped, it is out whether the driver lets go of it or not.
  granule.is_out = true;
  ++out_;
  const Status ended = end_physical(granule);
  if (!ended.ok()) status = ended;
  failpoint("client.swap.out.released");
  return true;
}

size_t ResidentMemory::move_to_host(const Batch& batch, Status& status) {
  std::vector<memory::SwapStore::Kept> kept(batch.size());
  auto copies = copies_of(addresses_of(batch), GranuleCopies::Way::kOut);
  const size_t copied = store_->put(kept, copies, status);
  failpoint("client.swap.out.copied");
  size_t gone = 0;
  for (; gone < copied && let_go(*batch[gone], status); ++gone) batch[gone]->kept = kept[gone];
  for (size_t i = gone; i < copied; ++i) store_->give_back(kept[i]);
  return gone;
}

Status ResidentMemory::put_behind(Granule& granule) {
  TESSERA_RETURN_IF_ERROR(make_physical(granule));
  const Handle physical[] = {granule.physical};
  const Status mapped = lower_.map(granule.address, physical);
  if (!mapped.ok()) (void)end_physical(granule);
  return mapped;
}

void ResidentMemory::take_away(Granule& granule) {
  (void)lower_.unmap(granule.address, 1);
  (void)end_physical(granule);
}

Status ResidentMemory::move_in(const Batch& batch) {
  Status status;
  size_t behind = 0;
  while (behind < batch.size() && status.ok()) {
    status = put_behind(*batch[behind]);
    if (status.ok()) ++behind;
  }
  failpoint("client.swap.in.mapped");
  if (status.ok()) {
    status = copy_in(batch);
    failpoint("client.swap.in.copied");
  }
  for (size_t i = 0; i < behind; ++i) {
    if (!status.ok()) {
      take_away(*batch[i]);
      continue;
    }
    give_back_kept(*batch[i]);
    batch[i]->is_out = false;
    batch[i]->slot.reset();
    --out_;
  }
  return status;
}

// Round and round, so that no memory moves each time and other never.
ResidentMemory::Batch ResidentMemory::next_to_go(size_t most) const {
  Batch batch;
  auto next = mapped_.upper_bound(last_evicted_);
  for (size_t left = mapped_.size(); left > 0 && batch.size() < most; --left, ++next) {
    if (next == mapped_.end()) next = mapped_.begin();
    auto* const granule = const_cast<Granule*>(&granules_.at(next->second));
    if (!granule->is_out) batch.push_back(granule);
  }
  return batch;
}

// What is mapped nowhere holds nothing. Some of it may wait to be mapped with more that this process waits
// for: if that stayed, several who grow would wait for each other.
size_t ResidentMemory::empty_unmapped(size_t most, Status& status) {
  size_t emptied = 0;
  if (granules_.size() == mapped_.size()) return emptied;
  for (auto& [handle, granule] : granules_) {
    if (emptied == most || !status.ok()) break;
    if (granule.address != 0 || granule.physical == 0) continue;
    status = end_physical(granule);
    ++emptied;
  }
  return emptied;
}

uint64_t ResidentMemory::evict(uint64_t bytes, Status& status) {
  std::lock_guard lock(mutex_);
  const size_t wanted = (bytes + granularity() - 1) / granularity();
  status = Status();
  const size_t emptied = empty_unmapped(wanted, status);
  size_t moved = emptied;
  while (moved < wanted && status.ok()) {
    const Batch batch = next_to_go(std::min(kBatch, wanted - moved));
    if (batch.empty()) break;
    const size_t gone = move_out(batch, status);
    if (gone > 0) last_evicted_ = batch[gone - 1]->address;
    moved += gone;
  }
  account_.counters(device_).evicted_bytes.fetch_add((moved - emptied) * granularity(),
                                                     std::memory_order_relaxed);
  publish();
  return moved * granularity();
}

ResidentMemory::Batch ResidentMemory::next_to_come(size_t most) const {
  Batch batch;
  for (const auto& [address, handle] : mapped_) {
    if (batch.size() >= most) break;
    auto* const granule = const_cast<Granule*>(&granules_.at(handle));
    if (granule->is_out) batch.push_back(granule);
  }
  return batch;
}

Result<uint64_t> ResidentMemory::restore(uint64_t charged_bytes) {
  std::lock_guard lock(mutex_);
  const size_t charged = charged_bytes / granularity();
  size_t moved = 0;
  Status status;
  for (size_t size = kBatch; moved < charged && size > 0;) {
    const Batch batch = next_to_come(std::min(size, charged - moved));
    if (batch.empty()) break;
    status = move_in(batch);
    if (status.ok()) {
      moved += batch.size();
    } else if (status.code() == Code::kResourceExhausted) {
      size /= 2;  // some of them may fit
    } else {
      break;
    }
  }
  account_.counters(device_).restored_bytes.fetch_add(moved * granularity(), std::memory_order_relaxed);
  publish();
  if (status.ok()) return moved * granularity();
  if (status.code() != Code::kResourceExhausted) return status;
  LOG_INFO("memory", "the device has less memory than was granted: %s", status.message().c_str());
  return moved * granularity();
}

// After a move: tells what is kept where, and lets others have what it was granted ahead.
void ResidentMemory::publish() {
  if (account_.swap().host_bounded != 0) account_.give_back_idle(device_, BudgetKind::kSwap);
  if (neighbours_ != nullptr) account_.give_back_idle(device_, BudgetKind::kNeighbour);
  DeviceCounters& counters = account_.counters(device_);
  const memory::SwapStore::Sizes& sizes = store_->sizes();
  const uint64_t on_neighbour = neighbours_ != nullptr ? neighbours_->used_bytes() : 0;
  counters.out_bytes.store(sizes.granule_bytes + on_neighbour, std::memory_order_relaxed);
  counters.swap_neighbour_bytes.store(on_neighbour, std::memory_order_relaxed);
  counters.swap_host_bytes.store(sizes.host_bytes, std::memory_order_relaxed);
  counters.swap_file_bytes.store(sizes.file_bytes, std::memory_order_relaxed);
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
