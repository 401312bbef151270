// The sizes that small blocks come in: multiples of 512 bytes up to 8 KiB, of 1 KiB up to 16 KiB. What a
// block gets beyond what was asked for is below an eighth from 4 KiB on, and what the driver adds below that.
#pragma once

#include <cstdint>

namespace tessera::memory {

inline constexpr uint64_t kLargestSmall = uint64_t{16} << 10;
inline constexpr uint32_t kSizeClasses = 24;

// Of 1 to kLargestSmall bytes.
constexpr uint32_t size_class(uint64_t bytes) {
  constexpr uint64_t kFine = 8 << 10;
  if (bytes <= kFine) return static_cast<uint32_t>((bytes + 511) / 512) - 1;
  return 16 + static_cast<uint32_t>((bytes - kFine + 1023) / 1024) - 1;
}

constexpr uint32_t class_bytes(uint32_t number) {
  return number < 16 ? (number + 1) * 512 : (8 << 10) + (number - 15) * 1024;
}

static_assert(class_bytes(kSizeClasses - 1) == kLargestSmall &&
              size_class(kLargestSmall) == kSizeClasses - 1);

}  // namespace tessera::memory
