// Conversions between pairs of 8-bit floats and f32 or f16x2.
//
// e4m3 has no infinities and one NaN, e5m2 is the upper half of an f16. Only .satfinite forms exist towards
// them: what is too large becomes the largest value, a NaN 0x7f.
#include "softgpu/exec/handlers/floats.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

constexpr u32 kNan8 = 0x7f;
constexpr u32 kF32Bits = 23;
constexpr u32 kF32Bias = 127;

template <u32 Bits, u32 Bias>
u32 from_f32(f32 value, f32 largest, bool relu) {
  if (value != value) return kNan8;
  const u32 sign = bits_as<u32>(value) >> 31 << 7;
  if (sign != 0 && relu) return 0;
  f32 magnitude = bits_as<f32>(bits_as<u32>(value) & 0x7fffffffu);
  if (magnitude > largest) magnitude = largest;
  const u32 bits = bits_as<u32>(magnitude);
  const u32 smallest_normal = (kF32Bias + 1 - Bias) << kF32Bits;
  if (bits < smallest_normal) {
    // One step of this number is one step of the subnormals, so that the sum is rounded as they are.
    const u32 steps = (kF32Bias + 1 - Bias - Bits + kF32Bits) << kF32Bits;
    return sign | (bits_as<u32>(magnitude + bits_as<f32>(steps)) - steps);
  }
  constexpr u32 kDropped = kF32Bits - Bits;
  const u32 rounded = bits + (1u << (kDropped - 1)) - 1 + ((bits >> kDropped) & 1);
  return sign | ((rounded >> kDropped) - ((kF32Bias - Bias) << Bits));
}

struct E4M3 {
  static u32 store(f32 value, bool relu) { return from_f32<3, 7>(value, 448.0f, relu); }
  static u16 to_half(u32 code) {
    const u32 magnitude = code & 0x7f;
    const u32 sign = (code & 0x80) << 8;
    if (magnitude == 0x7f) return kNan16;
    const u32 half = magnitude < 8 ? float_to_half(static_cast<f32>(magnitude) * (1.0f / 512))
                                   : (magnitude << 7) + ((15 - 7) << 10);
    return static_cast<u16>(sign | half);
  }
};
struct E5M2 {
  static u32 store(f32 value, bool relu) { return from_f32<2, 15>(value, 57344.0f, relu); }
  static u16 to_half(u32 code) { return (code & 0x7f) > 0x7c ? kNan16 : static_cast<u16>(code << 8); }
};

// o: d, a, b: a becomes the upper half. aux: kRelu.
template <class F>
const Op* from_floats(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u16* d = slot<u16>(frame, op->o[0]);
  const f32* a = slot<f32>(frame, op->o[1]);
  const f32* b = slot<f32>(frame, op->o[2]);
  const bool relu = (op->aux & kRelu) != 0;
  TESSERA_ACTIVE(mask) d[i] = static_cast<u16>(F::store(a[i], relu) << 8 | F::store(b[i], relu));
  return op + 1;
}
template <class F>
const Op* from_halves(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u16* d = slot<u16>(frame, op->o[0]);
  const u32* a = slot<u32>(frame, op->o[1]);
  const bool relu = (op->aux & kRelu) != 0;
  TESSERA_ACTIVE(mask) {
    const u32 high = F::store(half_to_float(static_cast<u16>(a[i] >> 16)), relu);
    d[i] = static_cast<u16>(high << 8 | F::store(half_to_float(static_cast<u16>(a[i])), relu));
  }
  return op + 1;
}
u32 positive(u16 half, bool relu) {
  const bool negative = (half & 0x8000u) != 0 && (half & 0x7fffu) <= 0x7c00u;
  return relu && negative ? 0 : half;
}
template <class F>
const Op* to_halves(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u32* d = slot<u32>(frame, op->o[0]);
  const u16* a = slot<u16>(frame, op->o[1]);
  const bool relu = (op->aux & kRelu) != 0;
  TESSERA_ACTIVE(mask) {
    const u32 high = positive(F::to_half(a[i] >> 8), relu);
    d[i] = high << 16 | positive(F::to_half(a[i] & 0xffu), relu);
  }
  return op + 1;
}

}  // namespace

const Entry kFloat8Entries[] = {
    {"cvt.e4m3x2.f32", "!Hff", &from_floats<E4M3>},  {"cvt.e5m2x2.f32", "!Hff", &from_floats<E5M2>},
    {"cvt.e4m3x2.f16x2", "!Hw", &from_halves<E4M3>}, {"cvt.e5m2x2.f16x2", "!Hw", &from_halves<E5M2>},
    {"cvt.f16x2.e4m3x2", "!Wh", &to_halves<E4M3>},   {"cvt.f16x2.e5m2x2", "!Wh", &to_halves<E5M2>},
};
const size_t kFloat8Count = sizeof(kFloat8Entries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
