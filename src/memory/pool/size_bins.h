// Free extents by size: bins of a sixteenth of a power of two each, and a bit for each that is not empty.
// Finding a fit looks at a bounded number of extents, however many there are.
#pragma once

#include <array>
#include <cstdint>

#include "memory/pool/extent.h"

namespace tessera::memory {

class SizeBins {
 public:
  // Sizes are counted in units of 2^unit_shift bytes.
  SizeBins(ExtentTable& extents, uint32_t unit_shift) : extents_(extents), unit_shift_(unit_shift) {}

  void insert(ExtentId id);
  void erase(ExtentId id);

  // The smallest of those looked at that holds `size` bytes, the lower one of equals; kNoExtent: there is
  // none of that size.
  ExtentId best_fit(uint64_t size) const;

  // Calls visit(id) with up to `most` extents of about `size` bytes and more, the smaller bins first, and
  // then with one of the largest, until it answers true.
  template <typename Visit>
  void visit_from(uint64_t size, uint32_t most, Visit visit) const {
    for (uint32_t bin = next_bin(bin_of(size)); bin < kBins && most > 0; bin = next_bin(bin + 1)) {
      uint32_t looked_at = 0;
      for (ExtentId id = heads_[bin]; id != kNoExtent && looked_at < kLookAt && most > 0;
           id = extents_[id].bin_after, ++looked_at, --most) {
        if (visit(id)) return;
      }
    }
    if (const ExtentId large = heads_[last_bin()]; large != kNoExtent) (void)visit(large);
  }

 private:
  static constexpr uint32_t kSubBits = 4;
  static constexpr uint32_t kBins = 704;  // sizes up to 2^47 units
  static constexpr uint32_t kLookAt = 8;  // extents of one bin

  uint32_t bin_of(uint64_t size) const;
  uint32_t next_bin(uint32_t from) const;  // the first one from there on that is not empty, or kBins
  uint32_t last_bin() const;
  ExtentId smallest_in(uint32_t bin, uint64_t size) const;

  ExtentTable& extents_;
  const uint32_t unit_shift_;
  std::array<ExtentId, kBins> heads_{};
  std::array<uint64_t, kBins / 64> filled_{};
};

}  // namespace tessera::memory
