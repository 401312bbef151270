#include "softgpu/exec/half.h"

#include <bit>
#include <cmath>

namespace tessera::softgpu::exec {

float half_to_float(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int fraction = half & 1023;
  const uint32_t sign = static_cast<uint32_t>(half >> 15) << 31;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | static_cast<uint32_t>(fraction) << 13);
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                        : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return sign != 0 ? -magnitude : magnitude;
}

uint16_t float_to_half(float value) {
  constexpr float kOverflow = 65520;            // halfway from the greatest half to what would follow it
  constexpr float kLeastNormal = 1.0f / 16384;  // 2^-14
  if (std::isnan(value)) return 0x7FFF;
  const uint32_t sign = std::signbit(value) ? 0x8000 : 0;
  const float magnitude = std::abs(value);
  if (magnitude >= kOverflow) return static_cast<uint16_t>(sign | 0x7C00);
  const int exponent = magnitude < kLeastNormal ? -14 : std::ilogb(magnitude);
  // With the leading one of a normal number, which then counts in the exponent; a carry does too.
  const auto significand = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  return static_cast<uint16_t>(sign + (static_cast<uint32_t>(exponent + 14) << 10) + significand);
}

}  // namespace tessera::softgpu::exec
