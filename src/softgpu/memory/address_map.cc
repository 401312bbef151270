#include "softgpu/memory/address_map.h"

#include <algorithm>

namespace tessera::softgpu {
namespace {

using Ranges = std::vector<AddressRange>;

void cut_out(Ranges& ranges, const AddressRange& hole) {
  Ranges left;
  for (const AddressRange& range : ranges) {
    if (range.end <= hole.begin || hole.end <= range.begin) {
      left.push_back(range);
      continue;
    }
    if (range.begin < hole.begin) left.push_back({range.begin, hole.begin, range.writable, range.on_demand});
    if (hole.end < range.end) left.push_back({hole.end, range.end, range.writable, range.on_demand});
  }
  ranges = std::move(left);
}

}  // namespace

AddressMap::AddressMap() : whole_(std::make_shared<const Ranges>()), ranges_(whole_) {}

void AddressMap::publish_locked(Snapshot whole) {
  whole_ = std::move(whole);
  ranges_ = whole_;
  if (!holes_.empty()) {
    auto cut = std::make_shared<Ranges>(*whole_);
    for (const AddressRange& hole : holes_) cut_out(*cut, hole);
    ranges_ = std::move(cut);
  }
  changed();
}

void AddressMap::set_holes(std::vector<AddressRange> holes) {
  std::lock_guard lock(mutex_);
  holes_ = std::move(holes);
  publish_locked(whole_);
}

Status AddressMap::insert(AddressRange range) {
  if (range.begin >= range.end) {
    return Status::error(Code::kInvalidArgument, "address range [%#llx, %#llx) is empty",
                         static_cast<unsigned long long>(range.begin),
                         static_cast<unsigned long long>(range.end));
  }
  std::lock_guard lock(mutex_);
  const auto& old = *whole_;
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
  publish_locked(std::move(copy));
  return {};
}

Status AddressMap::erase(uint64_t begin) {
  std::lock_guard lock(mutex_);
  const auto& old = *whole_;
  const auto found = std::lower_bound(old.begin(), old.end(), begin,
                                      [](const AddressRange& r, uint64_t b) { return r.begin < b; });
  if (found == old.end() || found->begin != begin) {
    return Status::error(Code::kNotFound, "no address range begins at %#llx",
                         static_cast<unsigned long long>(begin));
  }
  auto copy = std::make_shared<std::vector<AddressRange>>(old);
  copy->erase(copy->begin() + (found - old.begin()));
  publish_locked(std::move(copy));
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
