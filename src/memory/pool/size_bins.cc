#include "memory/pool/size_bins.h"

#include <algorithm>
#include <bit>

namespace tessera::memory {

uint32_t SizeBins::bin_of(uint64_t size) const {
  constexpr uint32_t kSub = 1u << kSubBits;
  const uint64_t units = size >> unit_shift_;
  if (units < kSub) return static_cast<uint32_t>(units);
  const auto magnitude = static_cast<uint32_t>(std::bit_width(units)) - 1;
  const auto sub = static_cast<uint32_t>(units >> (magnitude - kSubBits)) & (kSub - 1);
  return std::min((magnitude - kSubBits + 1) * kSub + sub, kBins - 1);
}

uint32_t SizeBins::next_bin(uint32_t from) const {
  if (from >= kBins) return kBins;
  uint32_t word = from / 64;
  uint64_t bits = filled_[word] & (~uint64_t{0} << from % 64);
  while (bits == 0) {
    if (++word == filled_.size()) return kBins;
    bits = filled_[word];
  }
  return word * 64 + static_cast<uint32_t>(std::countr_zero(bits));
}

uint32_t SizeBins::last_bin() const {
  for (size_t word = filled_.size(); word-- > 0;) {
    if (filled_[word] != 0) {
      return static_cast<uint32_t>(word) * 64 + static_cast<uint32_t>(std::bit_width(filled_[word])) - 1;
    }
  }
  return 0;
}

void SizeBins::insert(ExtentId id) {
  const uint32_t bin = bin_of(extents_[id].size);
  const ExtentId head = heads_[bin];
  extents_[id].bin_before = kNoExtent;
  extents_[id].bin_after = head;
  if (head != kNoExtent) extents_[head].bin_before = id;
  heads_[bin] = id;
  filled_[bin / 64] |= uint64_t{1} << bin % 64;
}

void SizeBins::erase(ExtentId id) {
  Extent& extent = extents_[id];
  if (extent.bin_after != kNoExtent) extents_[extent.bin_after].bin_before = extent.bin_before;
  if (extent.bin_before != kNoExtent) {
    extents_[extent.bin_before].bin_after = extent.bin_after;
  } else {
    const uint32_t bin = bin_of(extent.size);
    heads_[bin] = extent.bin_after;
    if (extent.bin_after == kNoExtent) filled_[bin / 64] &= ~(uint64_t{1} << bin % 64);
  }
  extent.bin_before = extent.bin_after = kNoExtent;
}

ExtentId SizeBins::smallest_in(uint32_t bin, uint64_t size) const {
  ExtentId best = kNoExtent;
  uint32_t looked_at = 0;
  for (ExtentId id = heads_[bin]; id != kNoExtent && looked_at < kLookAt;
       id = extents_[id].bin_after, ++looked_at) {
    const Extent& extent = extents_[id];
    if (extent.size == size) return id;
    if (extent.size < size) continue;
    const bool better = best == kNoExtent || extent.size < extents_[best].size ||
                        (extent.size == extents_[best].size && extent.begin < extents_[best].begin);
    if (better) best = id;
  }
  return best;
}

ExtentId SizeBins::best_fit(uint64_t size) const {
  const uint32_t bin = bin_of(size);
  if (const ExtentId own = smallest_in(bin, size); own != kNoExtent) return own;
  const uint32_t above = next_bin(bin + 1);
  return above == kBins ? kNoExtent : smallest_in(above, size);
}

}  // namespace tessera::memory
