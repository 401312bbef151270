#include "softgpu/memory/address_cover.h"

#include <algorithm>

namespace tessera::softgpu {

bool covers(const AddressMap& map, uint64_t begin, uint64_t size, bool write) {
  const AddressMap::Snapshot ranges = map.snapshot();
  const auto after = std::upper_bound(ranges->begin(), ranges->end(), begin,
                                      [](uint64_t a, const AddressRange& r) { return a < r.begin; });
  if (after == ranges->begin()) return false;
  auto range = std::prev(after);
  for (uint64_t at = begin;; ++range) {
    const bool inside = range != ranges->end() && range->begin <= at && at < range->end;
    if (!inside || (write && !range->writable)) return false;
    if (size - (at - begin) <= range->end - at) return true;
    at = range->end;
  }
}

}  // namespace tessera::softgpu
