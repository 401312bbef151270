// ResidentMemory's dealings with a neighbour: which way a batch takes, and what comes of it.
#include <algorithm>

#include "common/clock.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "virtualization/residency/resident_memory.h"

namespace tessera::vgpu {

using memory::PageWay;
using Way = GranuleCopies::Way;

std::vector<uint64_t> ResidentMemory::addresses_of(const Batch& batch) {
  std::vector<uint64_t> addresses;
  for (const Granule* granule : batch) addresses.push_back(granule->address);
  return addresses;
}

// Of a host that has no place for them nothing is borrowed, either: they might have to go there.
std::vector<uint32_t> ResidentMemory::take_slots(size_t most, uint64_t now_ns) {
  if (neighbours_ == nullptr || !neighbours_->can_offer(now_ns) || way_.next() != PageWay::kNeighbour)
    return {};
  const uint64_t place = store_->most_bytes();
  if (!budget_.charge(most * place).ok()) return {};
  std::vector<uint32_t> slots = neighbours_->take(most, now_ns);
  budget_.credit((most - slots.size()) * place);
  return slots;
}

void ResidentMemory::give_slot_back(uint32_t slot, NeighbourStore::Credit whose) {
  neighbours_->give_back(slot, whose);
  if (whose == NeighbourStore::Credit::kHere) budget_.credit(store_->most_bytes());
}

void ResidentMemory::give_back_kept(const Granule& granule) {
  if (granule.slot) {
    give_slot_back(*granule.slot, NeighbourStore::Credit::kHere);
  } else {
    store_->give_back(granule.kept);
  }
}

size_t ResidentMemory::move_to_neighbour(const Batch& batch) {
  const std::vector<uint32_t> slots = take_slots(batch.size(), monotonic_ns());
  if (slots.empty()) return 0;
  auto copies = copies_of(addresses_of(batch), Way::kOut);
  for (size_t i = 0; i < slots.size(); ++i) copies.begin_between_devices(i, neighbours_->address(slots[i]));
  Status status = copies.wait();
  failpoint("client.swap.neighbour.copied");
  if (!status.ok()) {
    LOG_WARN("memory", "%s; it goes to the host", status.message().c_str());
    neighbours_->pause(monotonic_ns());
  }
  size_t gone = 0;
  for (; status.ok() && gone < slots.size() && let_go(*batch[gone], status); ++gone)
    batch[gone]->slot = slots[gone];
  for (size_t i = gone; i < slots.size(); ++i) give_slot_back(slots[i], NeighbourStore::Credit::kHere);
  return gone;
}

size_t ResidentMemory::move_out(const Batch& batch, Status& status) {
  uint64_t since_ns = monotonic_ns();
  const auto measured = [&](PageWay way, size_t gone) {
    const uint64_t now_ns = monotonic_ns();
    way_.moved_out(way, gone * granularity(), now_ns - std::exchange(since_ns, now_ns));
    return gone;
  };
  size_t gone = move_to_neighbour(batch);
  if (gone > 0) return measured(PageWay::kNeighbour, gone);
  since_ns = monotonic_ns();
  gone = move_to_host(batch, status);
  return measured(PageWay::kHost, gone);
}

Status ResidentMemory::copy_from_neighbour(const Batch& batch) {
  auto copies = copies_of(addresses_of(batch), Way::kIn);
  for (size_t i = 0; i < batch.size(); ++i)
    copies.begin_between_devices(i, neighbours_->address(*batch[i]->slot));
  return copies.wait();
}

Status ResidentMemory::copy_from_host(const Batch& batch) {
  std::vector<memory::SwapStore::Kept> kept;
  for (const Granule* granule : batch) kept.push_back(granule->kept);
  auto copies = copies_of(addresses_of(batch), Way::kIn);
  return store_->get(kept, copies);
}

Status ResidentMemory::copy_in(const Batch& batch) {
  Batch here = batch;
  const auto others =
      std::stable_partition(here.begin(), here.end(), [](const Granule* granule) { return !granule->slot; });
  const Batch there(others, here.end());
  here.erase(others, here.end());
  const auto measured = [&](PageWay way, const Batch& part, Status (ResidentMemory::*copy)(const Batch&)) {
    if (part.empty()) return Status();
    const uint64_t since_ns = monotonic_ns();
    const Status copied = (this->*copy)(part);
    if (copied.ok()) way_.moved_in(way, part.size() * granularity(), monotonic_ns() - since_ns);
    return copied;
  };
  TESSERA_RETURN_IF_ERROR(measured(PageWay::kNeighbour, there, &ResidentMemory::copy_from_neighbour));
  return measured(PageWay::kHost, here, &ResidentMemory::copy_from_host);
}

ResidentMemory::Batch ResidentMemory::next_to_leave_neighbour(size_t most) const {
  Batch batch;
  for (const auto& [address, handle] : mapped_) {
    if (batch.size() >= most) break;
    auto* const granule = const_cast<Granule*>(&granules_.at(handle));
    if (granule->slot) batch.push_back(granule);
  }
  return batch;
}

// Their places in the host's memory are charged already.
size_t ResidentMemory::leave_neighbour(const Batch& batch, Status& status) {
  std::vector<uint64_t> addresses;
  for (const Granule* granule : batch) addresses.push_back(neighbours_->address(*granule->slot));
  std::vector<memory::SwapStore::Kept> kept(batch.size());
  auto copies = copies_of(std::move(addresses), Way::kOut);
  const uint64_t place = store_->most_bytes();
  budget_.begin_spending(batch.size() * place);
  const size_t copied = store_->put(kept, copies, status);
  const uint64_t unspent = budget_.end_spending(), kept_for_others = (batch.size() - copied) * place;
  if (unspent > kept_for_others) budget_.credit(unspent - kept_for_others);
  failpoint("client.swap.neighbour.left");
  for (size_t i = 0; i < copied; ++i) {
    give_slot_back(*batch[i]->slot, NeighbourStore::Credit::kCaller);
    batch[i]->slot.reset();
    batch[i]->kept = kept[i];
  }
  return copied;
}

uint64_t ResidentMemory::leave_neighbour(uint64_t bytes, Status& status) {
  std::lock_guard lock(mutex_);
  const size_t wanted = (bytes + granularity() - 1) / granularity();
  status = Status();
  size_t left = 0;
  while (left < wanted && status.ok()) {
    const Batch batch = next_to_leave_neighbour(std::min(kBatch, wanted - left));
    if (batch.empty()) break;
    left += leave_neighbour(batch, status);
  }
  publish();
  return left * granularity();
}

}  // namespace tessera::vgpu
