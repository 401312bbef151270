// Time of the scheduling core: nanoseconds of a time that is steady (common/steady_time.h), whatever the
// clock does that it comes from. Nothing in this room reads a clock.
#pragma once

#include <cstdint>

namespace tessera::scheduling {

using Nanoseconds = uint64_t;

inline constexpr Nanoseconds kMicrosecond = 1'000;
inline constexpr Nanoseconds kMillisecond = 1'000'000;
inline constexpr Nanoseconds kSecond = 1'000'000'000;
inline constexpr Nanoseconds kNever = UINT64_MAX;

// Callers tell moments in order, but two that were read one after the other may come the other way round.
constexpr Nanoseconds elapsed(Nanoseconds since, Nanoseconds now) { return now > since ? now - since : 0; }

// A part of a whole, in thousandths: of a GPU's time, of its SMs.
inline constexpr uint32_t kWhole = 1000;

// value * numerator / denominator without overflow on the way; the result has to fit.
constexpr uint64_t scaled(uint64_t value, uint64_t numerator, uint64_t denominator) {
  uint64_t product = 0;
  if (!__builtin_mul_overflow(value, numerator, &product)) return product / denominator;
  return static_cast<uint64_t>(static_cast<unsigned __int128>(value) * numerator / denominator);
}

}  // namespace tessera::scheduling
