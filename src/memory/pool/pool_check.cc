#include "memory/pool/pool_check.h"

#include <cstdarg>
#include <cstdio>

namespace tessera::memory {
namespace {

std::string at(const char* what, uint64_t address) {
  char text[128];
  std::snprintf(text, sizeof text, "%s at 0x%llx", what, static_cast<unsigned long long>(address));
  return text;
}

struct Totals {
  uint64_t extents = 0, empty = 0, mapped = 0;
};

std::string check_extent(const ExtentMap& map, ExtentId id, Totals& totals) {
  const Extent& extent = map[id];
  const uint64_t granule = map.granularity();
  ++totals.extents;
  if (extent.size == 0) return at("an empty extent", extent.begin);
  if (map.find(extent.begin) != id || map.find(extent.end() - 1) != id) return at("not found", extent.begin);
  const bool bare = extent.kind == ExtentKind::kBare;
  if (bare && (extent.begin % granule != 0 || extent.size % granule != 0))
    return at("half bare", extent.begin);
  for (uint64_t address = map.granule_begin(extent.begin); address < extent.end(); address += granule) {
    if ((map.handle(address) == 0) != bare && !(bare && extent.size > 4096 * granule)) {
      return at("mapped and bare disagree", address);
    }
    if (bare && extent.size > 4096 * granule) break;  // fresh addresses
    if (!bare && address >= extent.begin) ++totals.mapped;
  }
  if (extent.kind == ExtentKind::kFree) totals.empty += map.whole_granules(id).count;
  if ((extent.kind == ExtentKind::kFree || bare) && extent.after != kNoExtent &&
      map[extent.after].kind == extent.kind) {
    return at("two free neighbours", extent.begin);
  }
  if (extent.kind == ExtentKind::kSlabs && (map.slabs(extent.begin) == nullptr || extent.size != granule)) {
    return at("slabs are not known", extent.begin);
  }
  if (extent.after != kNoExtent && map[extent.after].before != id) return at("links disagree", extent.begin);
  return "";
}

}  // namespace

std::string PoolCheck::defect(Pool& pool) {
  const ExtentMap& map = pool.heap_.map();
  Totals totals;
  for (uint32_t number = 0; number < map.regions(); ++number) {
    const AddressIndex& region = map.region(number);
    uint64_t address = region.begin();
    while (address < region.begin() + region.size()) {
      const ExtentId id = map.find(address);
      if (map[id].begin != address) return at("a gap", address);
      std::string found = check_extent(map, id, totals);
      if (!found.empty()) return found;
      address = map[id].end();
    }
    if (address != region.begin() + region.size()) return at("beyond the region", address);
  }
  if (totals.extents != map.extents()) return "extents that lie nowhere";
  if (totals.empty != map.empty_granules()) return "the count of empty granules is wrong";
  uint64_t listed = 0;
  for (ExtentId id = map.oldest_empty(); id != kNoExtent; id = map[id].empty_after) {
    listed += map.whole_granules(id).count;
  }
  if (listed != totals.empty) return "the list of empty granules is wrong";
  if (totals.mapped + (pool.heap_.free_granules() - totals.empty) != pool.heap_.reserved_granules()) {
    return "the count of granules is wrong";
  }
  return "";
}

}  // namespace tessera::memory
