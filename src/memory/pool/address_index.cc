#include "memory/pool/address_index.h"

#include <bit>
#include <cassert>

namespace tessera::memory {
namespace {

// The highest bit up to `last` that is set in `words`; -1: there is none.
template <size_t kWords>
int highest_bit(const std::array<uint64_t, kWords>& words, uint32_t last) {
  for (int word = static_cast<int>(last / 64); word >= 0; --word) {
    uint64_t bits = words[static_cast<size_t>(word)];
    if (word == static_cast<int>(last / 64)) bits &= ~uint64_t{0} >> (63 - last % 64);
    if (bits != 0) return word * 64 + static_cast<int>(std::bit_width(bits)) - 1;
  }
  return -1;
}

}  // namespace

AddressIndex::AddressIndex(ExtentTable& extents, uint64_t begin, uint64_t size, uint64_t granularity)
    : extents_(extents),
      begin_(begin),
      size_(size),
      granule_shift_(static_cast<uint32_t>(std::countr_zero(granularity))),
      page_shift_(granule_shift_ - static_cast<uint32_t>(std::countr_zero(kPages))),
      leaves_(((size >> granule_shift_) + kGranules - 1) / kGranules) {}

AddressIndex::~AddressIndex() {
  for (auto& leaf : leaves_) delete leaf.load(std::memory_order_relaxed);
}

AddressIndex::Place AddressIndex::place_of(uint64_t address) const {
  const uint64_t offset = address - begin_;
  assert(offset < size_);
  const uint64_t granule = offset >> granule_shift_;
  return {granule / kGranules, static_cast<uint32_t>(granule % kGranules),
          static_cast<uint32_t>(offset >> page_shift_) % kPages};
}

AddressIndex::Leaf& AddressIndex::leaf(uint64_t index) {
  Leaf* found = leaves_[index].load(std::memory_order_relaxed);
  if (found == nullptr) {
    found = new Leaf();
    leaves_[index].store(found, std::memory_order_release);
  }
  return *found;
}

AddressIndex::Granule& AddressIndex::granule(uint64_t address) {
  const Place place = place_of(address);
  return leaf(place.leaf).granules[place.granule];
}

DeviceMemory::Handle AddressIndex::handle(uint64_t address) const {
  const Place place = place_of(address);
  const Leaf* leaf = leaf_at(place.leaf);
  return leaf == nullptr ? 0 : leaf->granules[place.granule].handle;
}

SlabChunk* AddressIndex::slabs(uint64_t address) const {
  const Place place = place_of(address);
  const Leaf* leaf = leaf_at(place.leaf);
  return leaf == nullptr ? nullptr : leaf->granules[place.granule].slabs.load(std::memory_order_acquire);
}

void AddressIndex::insert(ExtentId id) {
  const uint64_t begin = extents_[id].begin;
  const Place place = place_of(begin);
  Leaf& in = leaf(place.leaf);
  Granule& granule = in.granules[place.granule];
  ExtentId& first = granule.first[place.page];
  const uint64_t bit = uint64_t{1} << place.page;
  if ((granule.begun & bit) == 0 || begin < extents_[first].begin) first = id;
  granule.begun |= bit;
  in.begun[place.granule / 64] |= uint64_t{1} << place.granule % 64;
}

void AddressIndex::erase(ExtentId id) {
  const Extent& extent = extents_[id];
  const Place place = place_of(extent.begin);
  Leaf& in = leaf(place.leaf);
  Granule& granule = in.granules[place.granule];
  ExtentId& first = granule.first[place.page];
  if (first != id) return;
  const ExtentId after = extent.after;
  if (after != kNoExtent && page_of(extents_[after].begin) == page_of(extent.begin)) {
    first = after;
    return;
  }
  first = kNoExtent;
  granule.begun &= ~(uint64_t{1} << place.page);
  if (granule.begun == 0) in.begun[place.granule / 64] &= ~(uint64_t{1} << place.granule % 64);
}

ExtentId AddressIndex::last_begun(uint64_t address) const {
  const Place place = place_of(address);
  if (const Leaf* leaf = leaf_at(place.leaf)) {
    const Granule& granule = leaf->granules[place.granule];
    const int page = highest_bit(std::array{granule.begun}, place.page);
    if (page >= 0) return granule.first[static_cast<size_t>(page)];
  }
  // In another granule, then: the last page of the last one before it.
  uint32_t last = place.granule;
  for (uint64_t index = place.leaf + 1; index-- > 0; last = kGranules) {
    const Leaf* leaf = leaf_at(index);
    if (leaf == nullptr || last == 0) continue;
    const int at = highest_bit(leaf->begun, last - 1);
    if (at < 0) continue;
    const Granule& granule = leaf->granules[static_cast<size_t>(at)];
    return granule.first[static_cast<size_t>(highest_bit(std::array{granule.begun}, kPages - 1))];
  }
  return kNoExtent;
}

ExtentId AddressIndex::find(uint64_t address) const {
  ExtentId id = last_begun(address);
  assert(id != kNoExtent);  // the first extent begins where the range does
  if (extents_[id].begin > address) return extents_[id].before;
  while (extents_[id].end() <= address) id = extents_[id].after;
  return id;
}

}  // namespace tessera::memory
