#include "softgpu/memory/address_map.h"

#include <algorithm>

namespace tessera::softgpu {

AddressMap::AddressMap() : ranges_(std::make_shared<const std::vector<AddressRange>>()) {}

Status AddressMap::insert(AddressRange range) {
  if (range.begin >= range.end) {
    return Status::error(Code::kInvalidArgument, "address range [%#llx, %#llx) is empty",
                         static_cast<unsigned long long>(range.begin),
                         static_cast<unsigned long long>(range.end));
  }
  std::lock_guard lock(mutex_);
  const auto& old = *ranges_;
  const auto next = std::lower_bound(old.begin(), old.end(), range.begin,
                                     [](const AddressRange& r, uint64_t begin) { return r.begin < begin; });
  const bool overlaps_next = next != old.end() && next->begin < range.end;
  const bool overlaps_previous = next != old.begin() && std::prev(next)->end > range.begin;
  if (overlaps_next || overlaps_previous) {
    return Status::error(Code::kAlreadyExists, "address range [%#llx, %#llx) overlaps one that is mapped",
                         static_cast<unsigned long long>(range.begin),
                         static_cast<unsigned long long>(range.end));
  }
  auto copy = std::make_shared<std::vector<AddressRange>>();
  copy->reserve(old.size() + 1);
  copy->insert(copy->end(), old.begin(), next);
  copy->push_back(range);
  copy->insert(copy->end(), next, old.end());
  ranges_ = std::move(copy);
  generation_.fetch_add(1, std::memory_order_release);
  return {};
}

Status AddressMap::erase(uint64_t begin) {
  std::lock_guard lock(mutex_);
  const auto& old = *ranges_;
  const auto found = std::lower_bound(old.begin(), old.end(), begin,
                                      [](const AddressRange& r, uint64_t b) { return r.begin < b; });
  if (found == old.end() || found->begin != begin) {
    return Status::error(Code::kNotFound, "no address range begins at %#llx",
                         static_cast<unsigned long long>(begin));
  }
  auto copy = std::make_shared<std::vector<AddressRange>>(old);
  copy->erase(copy->begin() + (found - old.begin()));
  ranges_ = std::move(copy);
  generation_.fetch_add(1, std::memory_order_release);
  return {};
}

AddressMap::Snapshot AddressMap::snapshot() const {
  std::lock_guard lock(mutex_);
  return ranges_;
}

AddressRange AddressMap::find(uint64_t address) const {
  const Snapshot ranges = snapshot();
  const auto after = std::upper_bound(ranges->begin(), ranges->end(), address,
                                      [](uint64_t a, const AddressRange& r) { return a < r.begin; });
  if (after == ranges->begin()) return {};
  const AddressRange& candidate = *std::prev(after);
  return address < candidate.end ? candidate : AddressRange{};
}

}  // namespace tessera::softgpu
