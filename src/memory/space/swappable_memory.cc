#include "memory/space/swappable_memory.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

namespace tessera::memory {

SwappableMemory::SwappableMemory(DeviceMemory& lower, HostCopies& copies, uint64_t most_bytes)
    : lower_(lower),
      copies_(copies),
      most_(most_bytes == 0 ? std::numeric_limits<uint64_t>::max() : most_bytes / lower.granularity()),
      store_(lower.granularity()) {}

Status SwappableMemory::map(uint64_t address, std::span<const Handle> granules) {
  for (size_t i = 0; i < granules.size(); ++i) granules_.try_emplace(address + i * granularity());
  return {};
}

Status SwappableMemory::unmap(uint64_t address, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i, address += granularity()) {
    const auto granule = granules_.find(address);
    assert(granule != granules_.end());
    Granule& state = granule->second;
    if (state.where == Where::kDevice) {
      TESSERA_RETURN_IF_ERROR(lower_.unmap(address, 1));
      TESSERA_RETURN_IF_ERROR(lower_.release(state.physical));
      candidates_.erase(candidate(*granule));
      --on_device_;
    } else if (state.where == Where::kHost) {
      store_.give_back(state.slot);
    }
    reclaim_.forget(address);
    granules_.erase(granule);
  }
  return {};
}

template <typename Body>
Status SwappableMemory::each(uint64_t begin, uint64_t end, Body body) {
  for (auto granule = first(begin); granule != granules_.end() && granule->first < end; ++granule)
    TESSERA_RETURN_IF_ERROR(body(*granule));
  return {};
}

// Keeps the candidates in step.
void SwappableMemory::change(Granules::value_type& granule, const Granule& now) {
  candidates_.erase(candidate(granule));
  granule.second = now;
  if (now.where == Where::kDevice && now.pins == 0) candidates_.insert(candidate(granule));
}

Status SwappableMemory::pin(uint64_t begin, uint64_t end) {
  uint64_t pinned_to = begin;
  Status status = each(begin, end, [&](Granules::value_type& granule) {
    Granule now = granule.second;
    ++now.pins;
    now.wanted = ++clock_;
    change(granule, now);
    pinned_to = granule.first + granularity();
    TESSERA_RETURN_IF_ERROR(bring(granule));
    reclaim_.came(granule.first);
    return Status();
  });
  if (!status.ok()) unpin(begin, std::min(pinned_to, end));
  return status;
}

void SwappableMemory::unpin(uint64_t begin, uint64_t end) {
  (void)each(begin, end, [&](Granules::value_type& granule) {
    Granule now = granule.second;
    assert(now.pins > 0);
    --now.pins;
    change(granule, now);
    return Status();
  });
}

Status SwappableMemory::move_in(uint64_t begin, uint64_t end) {
  TESSERA_RETURN_IF_ERROR(pin(begin, end));
  unpin(begin, end);
  return {};
}

Status SwappableMemory::move_out(uint64_t begin, uint64_t end) {
  TESSERA_RETURN_IF_ERROR(copies_.wait_for_device());
  return each(begin, end, [&](Granules::value_type& granule) {
    const bool stays = granule.second.where != Where::kDevice || granule.second.pins > 0;
    return stays ? Status() : evict(granule);
  });
}

void SwappableMemory::set_keep(uint64_t begin, uint64_t end, Keep keep) {
  (void)each(begin, end, [&](Granules::value_type& granule) {
    Granule now = granule.second;
    now.keep = keep;
    change(granule, now);
    return Status();
  });
}

// One that is pinned: it cannot be its own victim.
Status SwappableMemory::bring(Granules::value_type& granule) {
  if (granule.second.where == Where::kDevice) return {};
  if (on_device_ >= most_) TESSERA_RETURN_IF_ERROR(make_room());
  TESSERA_ASSIGN_OR_RETURN(const Handle physical, make_physical());
  const Handle handles[] = {physical};
  Status there = lower_.map(granule.first, handles);
  if (there.ok() && granule.second.where == Where::kHost) {
    there = copies_.to_device(granule.first, store_.at(granule.second.slot), granularity());
    if (!there.ok()) (void)lower_.unmap(granule.first, 1);
  }
  if (!there.ok()) {
    (void)lower_.release(physical);
    return there;
  }
  Granule now = granule.second;
  if (now.where == Where::kHost) {
    store_.give_back(now.slot);
    figures_.moved_in_bytes += granularity();
  }
  now.where = Where::kDevice;
  now.physical = physical;
  ++on_device_;
  change(granule, now);
  return {};
}

// The device may be full of others' memory: then something of ours goes.
Result<DeviceMemory::Handle> SwappableMemory::make_physical() {
  Result<Handle> made = lower_.create();
  while (!made.ok() && made.status().code() == Code::kResourceExhausted) {
    const Status room = make_room();
    if (!room.ok()) return room.with_context(made.status().message());
    made = lower_.create();
  }
  return made;
}

Status SwappableMemory::make_room() {
  if (candidates_.empty()) {
    return Status::error(
        Code::kResourceExhausted,
        "all %llu MiB that are on the device are in use at once: release some, or use less at a time",
        static_cast<unsigned long long>(on_device_ * granularity() >> 20));
  }
  TESSERA_RETURN_IF_ERROR(copies_.wait_for_device());
  return evict(*granules_.find(victim()));
}

// There is a candidate. Only those that are to be kept least are compared.
uint64_t SwappableMemory::victim() {
  const Candidate& first = *candidates_.begin();
  if (reclaim_.room() != on_device_) (void)reclaim_.resize(on_device_);  // it holds no more than that
  const auto alike = [&](PageId page) {
    const Granule& granule = granules_.at(page);
    return granule.where == Where::kDevice && granule.pins == 0 && granule.keep == first.keep;
  };
  return reclaim_.victim(alike).value_or(first.address);
}

// The device does not use it.
Status SwappableMemory::evict(Granules::value_type& granule) {
  TESSERA_ASSIGN_OR_RETURN(const uint32_t slot, store_.take());
  Status moved = copies_.to_host(store_.at(slot), granule.first, granularity());
  if (moved.ok()) moved = lower_.unmap(granule.first, 1);
  if (!moved.ok()) {
    store_.give_back(slot);
    return moved;
  }
  Granule now = granule.second;
  const Handle physical = now.physical;
  now.where = Where::kHost;
  now.slot = slot;
  now.physical = 0;
  change(granule, now);
  reclaim_.went(granule.first);
  --on_device_;
  figures_.moved_out_bytes += granularity();
  return lower_.release(physical);
}

Status SwappableMemory::write_granule(Granules::value_type& granule, uint64_t offset, const std::byte* from,
                                      uint64_t bytes) {
  Granule now = granule.second;
  if (now.where == Where::kDevice) return copies_.to_device(granule.first + offset, from, bytes);
  if (now.where == Where::kNowhere) {
    TESSERA_ASSIGN_OR_RETURN(now.slot, store_.take());
    now.where = Where::kHost;
    change(granule, now);
  }
  memcpy(store_.at(now.slot) + offset, from, bytes);
  return {};
}

Status SwappableMemory::write(uint64_t address, const std::byte* from, uint64_t bytes) {
  const uint64_t end = address + bytes;
  return each(address, end, [&](Granules::value_type& granule) {
    const uint64_t begin = std::max(address, granule.first),
                   to = std::min(end, granule.first + granularity());
    return write_granule(granule, begin - granule.first, from + (begin - address), to - begin);
  });
}

Status SwappableMemory::read(uint64_t address, std::byte* to, uint64_t bytes) {
  const uint64_t end = address + bytes;
  return each(address, end, [&](Granules::value_type& granule) {
    const uint64_t begin = std::max(address, granule.first),
                   stop = std::min(end, granule.first + granularity());
    std::byte* there = to + (begin - address);
    if (granule.second.where == Where::kDevice) return copies_.to_host(there, begin, stop - begin);
    if (granule.second.where == Where::kHost) {
      memcpy(there, store_.at(granule.second.slot) + (begin - granule.first), stop - begin);
    } else {
      memset(there, 0, stop - begin);
    }
    return Status();
  });
}

uint64_t SwappableMemory::bytes_on_device(uint64_t begin, uint64_t end) const {
  uint64_t bytes = 0;
  for (auto granule = granules_.find(begin / granularity() * granularity());
       granule != granules_.end() && granule->first < end; ++granule) {
    if (granule->second.where == Where::kDevice)
      bytes += std::min(end, granule->first + granularity()) - std::max(begin, granule->first);
  }
  return bytes;
}

SwapFigures SwappableMemory::figures() const {
  SwapFigures now = figures_;
  now.on_device_bytes = on_device_ * granularity();
  now.on_host_bytes = store_.used_bytes();
  return now;
}

}  // namespace tessera::memory
