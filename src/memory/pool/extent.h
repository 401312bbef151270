// The pieces that a reserved address range is divided into. They lie side by side without gaps: every address
// of the pool is in exactly one. All of it is host memory; nothing is ever written into device memory.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <memory>
#include <vector>

namespace tessera::memory {

using ExtentId = uint32_t;
inline constexpr ExtentId kNoExtent = 0;

enum class ExtentKind : uint8_t {
  kNone,   // the record is not in use
  kBlock,  // given to the program
  kSlabs,  // a granule of small blocks
  kFree,   // physical memory, and no block
  kBare,   // addresses only; begins and ends at granules
};

struct Extent {
  uint64_t begin = 0;
  uint64_t size = 0;
  uint64_t asked = 0;                                      // bytes of a block as the program asked for them
  ExtentId before = kNoExtent, after = kNoExtent;          // neighbours by address
  ExtentId bin_before = kNoExtent, bin_after = kNoExtent;  // in a bin of its kind
  ExtentId empty_before = kNoExtent, empty_after = kNoExtent;  // among those that hold empty granules
  uint16_t region = 0;
  ExtentKind kind = ExtentKind::kNone;
  bool pending = false;  // freed in the order of a stream, which is not there yet

  uint64_t end() const { return begin + size; }
};

// Records never move, and are used again.
class ExtentTable {
 public:
  Extent& operator[](ExtentId id) { return chunks_[id / kChunk][id % kChunk]; }
  const Extent& operator[](ExtentId id) const { return chunks_[id / kChunk][id % kChunk]; }

  ExtentId make() {
    if (unused_ == kNoExtent) grow();
    const ExtentId id = unused_;
    unused_ = (*this)[id].bin_after;
    (*this)[id] = Extent();
    ++in_use_;
    return id;
  }
  void drop(ExtentId id) {
    (*this)[id] = Extent();
    (*this)[id].bin_after = unused_;
    unused_ = id;
    --in_use_;
  }
  uint32_t in_use() const { return in_use_; }

 private:
  static constexpr uint32_t kChunk = 1024;

  void grow() {
    const auto first = static_cast<ExtentId>(chunks_.size() * kChunk);
    chunks_.push_back(std::make_unique<Extent[]>(kChunk));
    for (ExtentId id = first + kChunk; id-- > first;) {
      if (id == kNoExtent) continue;  // stands for none
      (*this)[id].bin_after = unused_;
      unused_ = id;
    }
  }

  std::vector<std::unique_ptr<Extent[]>> chunks_;
  ExtentId unused_ = kNoExtent;  // linked by bin_after
  uint32_t in_use_ = 0;
};

}  // namespace tessera::memory
