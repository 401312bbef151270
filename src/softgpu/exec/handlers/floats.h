// Floating-point helpers of the handler files: flushing, NaN, half formats, exact rounding.
#pragma once

#include "softgpu/exec/flags.h"
#include "softgpu/exec/handlers/lanes.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {

constexpr u32 kNan32 = 0x7fffffffu;  // the NaN that f32 instructions produce
constexpr u16 kNan16 = 0x7fff;

inline f32 flush(f32 x) {
  const u32 bits = bits_as<u32>(x);
  return bits_as<f32>((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}
inline f64 flush(f64 x) {
  const u64 bits = bits_as<u64>(x);
  return bits_as<f64>((bits & 0x7ff0000000000000ull) == 0 ? bits & 0x8000000000000000ull : bits);
}
// NaNs of f32 lose their payload on the hardware; those of f64 keep it.
inline f32 canonical(f32 x) { return x == x ? x : bits_as<f32>(kNan32); }
inline f64 canonical(f64 x) { return x; }

template <class T>
inline T saturate(T x) {
  return x > T{0} ? (x < T{1} ? x : T{1}) : T{0};
}  // NaN gives +0

inline f32 half_to_float(u16 h) {
  const u32 magnitude = (h & 0x7fffu) << 13;
  const u32 exponent = magnitude & (0x7c00u << 13);
  const u32 normal = magnitude + ((127 - 15) << 23);
  const u32 special = normal + ((128 - 16) << 23);
  const u32 subnormal = bits_as<u32>(bits_as<f32>(normal + (1u << 23)) - bits_as<f32>(113u << 23));
  const u32 bits = exponent == (0x7c00u << 13) ? special : exponent == 0 ? subnormal : normal;
  return bits_as<f32>(bits | ((h & 0x8000u) << 16));
}
inline u16 float_to_half(f32 value) {
  const u32 bits = bits_as<u32>(value);
  const u32 sign = (bits >> 16) & 0x8000u;
  const u32 f = bits & 0x7fffffffu;
  constexpr u32 kMagic = ((127 - 15) + (23 - 10) + 1) << 23;
  const u32 subnormal = bits_as<u32>(bits_as<f32>(f) + bits_as<f32>(kMagic)) - kMagic;
  const u32 normal = (f - ((127u - 15) << 23) + 0xfff + ((f >> 13) & 1)) >> 13;
  const u32 finite = f < 0x38800000u ? subnormal : normal;
  const u32 result = f > 0x7f800000u ? u32{kNan16} : f >= 0x47800000u ? 0x7c00u | sign : finite | sign;
  return static_cast<u16>(result);
}
inline f32 bfloat_to_float(u16 h) { return bits_as<f32>(u32{h} << 16); }
inline u16 float_to_bfloat(f32 value) {
  const u32 bits = bits_as<u32>(value);
  const u32 rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return static_cast<u16>(value == value ? rounded : u32{kNan16});
}

// Rounds to odd: the last bit is set where bits were lost, so that a second rounding to fewer bits is right.
inline f32 to_float_odd(f64 d) {
  const f32 nearest = static_cast<f32>(d);
  const f64 back = static_cast<f64>(nearest);
  const u32 bits = bits_as<u32>(nearest);
  const bool exact = back == d || d != d;
  const u32 truncated = (back < 0 ? -back : back) > (d < 0 ? -d : d) ? bits - 1 : bits;
  return bits_as<f32>(exact ? bits : truncated | 1);
}

struct F16 {
  static constexpr u16 kSubnormalLimit = 0x0400;
  static f32 load(u16 h) { return half_to_float(h); }
  static u16 store(f32 f) { return float_to_half(f); }
};
struct BF16 {
  static constexpr u16 kSubnormalLimit = 0x0080;
  static f32 load(u16 h) { return bfloat_to_float(h); }
  static u16 store(f32 f) { return float_to_bfloat(f); }
};

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
