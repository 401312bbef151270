#include "remote/wire/arena.h"

#include <algorithm>
#include <cstring>

namespace tessera::remote {
namespace {

constexpr size_t kSmallBytes = 256 << 10;

}  // namespace

void* Arena::zeroed(uint64_t bytes) {
  const uint64_t rounded = std::max<uint64_t>((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
  if (total_ + rounded > kLimitBytes) return nullptr;
  total_ += rounded;
  if (small_ == nullptr) small_.reset(aligned_alloc(kAlignment, kSmallBytes));
  void* found = nullptr;
  if (small_ != nullptr && kSmallBytes - small_used_ >= rounded) {
    found = static_cast<std::byte*>(small_.get()) + small_used_;
    small_used_ += rounded;
  } else {
    found = large_.emplace_back(aligned_alloc(kAlignment, rounded)).get();
  }
  return found == nullptr ? nullptr : memset(found, 0, rounded);
}

void Arena::clear() {
  large_.clear();
  small_used_ = 0;
  total_ = 0;
}

}  // namespace tessera::remote
