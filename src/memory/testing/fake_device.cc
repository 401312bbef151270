#include "memory/testing/fake_device.h"

namespace tessera::memory {
namespace {

Status refused() { return {Code::kInternal, "refused by the test"}; }

}  // namespace

Status FakeDevice::wrong(const std::string& what) {
  if (nonsense_.empty()) nonsense_ = what;
  return {Code::kInvalidArgument, what};
}

bool FakeDevice::reserved(uint64_t begin, uint64_t end) const {
  auto after = reservations_.upper_bound(begin);
  if (after == reservations_.begin()) return false;
  const auto& [first, bytes] = *std::prev(after);
  return end <= first + bytes;
}

Result<uint64_t> FakeDevice::reserve(uint64_t bytes) {
  if (bytes == 0 || bytes % kGranule != 0) return wrong("reserve: not a multiple of granules");
  if (refuses()) return refused();
  const uint64_t begin = next_address_;
  next_address_ += bytes + kGranule;  // never side by side
  reservations_[begin] = bytes;
  return begin;
}

Status FakeDevice::unreserve(uint64_t address, uint64_t bytes) {
  const auto found = reservations_.find(address);
  if (found == reservations_.end() || found->second != bytes) return wrong("unreserve: no such reservation");
  const auto inside = mapped_.lower_bound(address);
  if (inside != mapped_.end() && inside->first < address + bytes) return wrong("unreserve: still mapped");
  if (refuses()) return refused();
  reservations_.erase(found);
  return {};
}

Result<DeviceMemory::Handle> FakeDevice::create() {
  if (refuses()) return refused();
  if (granules_.size() == capacity_) return Status(Code::kResourceExhausted, "the fake device is full");
  granules_.insert(next_handle_);
  return next_handle_++;
}

Status FakeDevice::release(Handle granule) {
  if (!granules_.contains(granule)) return wrong("release: no such granule");
  if (mapped_handles_.contains(granule)) return wrong("release: still mapped");
  if (refuses()) return refused();
  granules_.erase(granule);
  return {};
}

Status FakeDevice::map(uint64_t address, std::span<const Handle> granules) {
  if (address % kGranule != 0 || granules.empty()) return wrong("map: no granule's address");
  if (!reserved(address, address + granules.size() * kGranule)) return wrong("map: not reserved");
  std::set<Handle> given;
  for (size_t i = 0; i < granules.size(); ++i) {
    if (mapped_.contains(address + i * kGranule)) return wrong("map: something is mapped there");
    const bool usable = granules_.contains(granules[i]) && !mapped_handles_.contains(granules[i]);
    if (!usable || !given.insert(granules[i]).second) return wrong("map: no granule, or mapped already");
  }
  if (refuses()) return refused();
  for (size_t i = 0; i < granules.size(); ++i) mapped_[address + i * kGranule] = granules[i];
  mapped_handles_.merge(given);
  return {};
}

Status FakeDevice::unmap(uint64_t address, uint64_t granules) {
  for (uint64_t i = 0; i < granules; ++i) {
    if (!mapped_.contains(address + i * kGranule)) return wrong("unmap: not mapped");
  }
  if (refuses()) return refused();
  for (uint64_t i = 0; i < granules; ++i) {
    mapped_handles_.erase(mapped_.at(address + i * kGranule));
    mapped_.erase(address + i * kGranule);
  }
  return {};
}

bool FakeDevice::mapped(uint64_t begin, uint64_t end) const {
  for (uint64_t at = begin & ~(kGranule - 1); at < end; at += kGranule) {
    if (!mapped_.contains(at)) return false;
  }
  return true;
}

}  // namespace tessera::memory
