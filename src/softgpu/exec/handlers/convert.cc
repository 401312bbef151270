// cvt. The conversions that ordinary code is full of are vectorised; everything else (saturation, directed
// rounding, rare formats) goes through one exact conversion of an unpacked value.
#include "softgpu/exec/handlers/floats.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

// S and D are the types converted between; registers of 8-bit types are 16 bits wide.
template <class S>
struct As {
  template <class R>
  static S apply(R a) {
    return static_cast<S>(a);
  }
};
template <class S, class D>
struct Narrow {
  template <class R>
  static D apply(R a) {
    return static_cast<D>(static_cast<S>(a));
  }
};

struct HalfToF32 {
  static f32 apply(u16 a) { return canonical(half_to_float(a)); }
};
struct HalfToF64 {
  static f64 apply(u16 a) { return static_cast<f64>(canonical(half_to_float(a))); }
};
struct BfloatToF32 {
  static f32 apply(u16 a) { return canonical(bfloat_to_float(a)); }
};
struct F32ToHalf {
  static u16 apply(f32 a) { return float_to_half(a); }
};
struct F64ToHalf {
  static u16 apply(f64 a) { return float_to_half(to_float_odd(a)); }
};
struct F32ToBfloat {
  static u16 apply(f32 a) { return float_to_bfloat(a); }
};
struct F32ToF64 {
  static f64 apply(f32 a) { return static_cast<f64>(canonical(a)); }
};
struct F64ToF32 {
  static f32 apply(f64 a) { return canonical(static_cast<f32>(a)); }
};

struct Rni {
  static f32 apply(f32 a) { return __builtin_nearbyintf(a); }
  static f64 apply(f64 a) { return __builtin_nearbyint(a); }
};
struct Rzi {
  static f32 apply(f32 a) { return __builtin_truncf(a); }
  static f64 apply(f64 a) { return __builtin_trunc(a); }
};
struct Rmi {
  static f32 apply(f32 a) { return __builtin_floorf(a); }
  static f64 apply(f64 a) { return __builtin_floor(a); }
};
struct Rpi {
  static f32 apply(f32 a) { return __builtin_ceilf(a); }
  static f64 apply(f64 a) { return __builtin_ceil(a); }
};
template <class R>
struct Integral {
  template <class T>
  static T apply(T a) {
    return canonical(R::apply(a));
  }
};

// Out of range clamps. NaN gives 0, or the lone top bit where either side has 64 bits.
template <class D, class R>
struct ToInteger {
  static constexpr bool is_signed = static_cast<D>(-1) < D{0};
  static constexpr D lowest_value = is_signed ? static_cast<D>(u64{1} << (sizeof(D) * 8 - 1)) : D{0};
  static constexpr D highest_value = static_cast<D>(~lowest_value);
  template <class T>
  static D apply(T a) {
    constexpr D nan_value =
        sizeof(D) == 8 || sizeof(T) == 8 ? static_cast<D>(u64{1} << (sizeof(D) * 8 - 1)) : D{0};
    constexpr T limit = static_cast<T>(u64{1} << (sizeof(D) * 8 - 1)) * (is_signed ? T{1} : T{2});
    const T r = R::apply(a);
    const bool below = r < (is_signed ? -limit : T{0});
    const bool above = r >= limit;
    const T safe = below || above || r != r ? T{0} : r;
    const D converted = static_cast<D>(safe);
    return r != r ? nan_value : below ? lowest_value : above ? highest_value : converted;
  }
};

// --- any conversion
// -----------------------------------------------------------------------------------------------

enum Class : u32 { kZero, kFinite, kInfinity, kNotANumber };
struct Unpacked {  // (-1)^negative * mantissa * 2^exponent
  bool negative;
  Class kind;
  u64 mantissa;
  s32 exponent;
};
struct FloatShape {
  u32 precision;  // bits of the mantissa with the hidden one
  s32 minimum;    // exponent of the smallest normal
  s32 maximum;    // exponent of the largest finite
};
FloatShape shape_of(u32 format) {
  switch (format) {
    case kFmtF16:
      return {11, -14, 15};
    case kFmtBF16:
      return {8, -126, 127};
    case kFmtTF32:
      return {11, -126, 127};
    case kFmtF32:
      return {24, -126, 127};
    default:
      return {53, -1022, 1023};
  }
}
bool is_float(u32 format) { return format >= kFmtF16; }
bool is_signed(u32 format) { return format < kFmtF16 && (format & 1) != 0; }
u32 bits_of(u32 format) { return 8u << (format >> 1); }  // of the integer formats

Unpacked unpack_double(f64 d) {
  const u64 bits = bits_as<u64>(d);
  const u32 exponent = static_cast<u32>(bits >> 52) & 0x7ff;
  const u64 fraction = bits & 0xfffffffffffffull;
  const bool negative = (bits >> 63) != 0;
  if (exponent == 0x7ff) return {negative, fraction != 0 ? kNotANumber : kInfinity, 0, 0};
  if (exponent == 0 && fraction == 0) return {negative, kZero, 0, 0};
  if (exponent == 0) return {negative, kFinite, fraction, -1074};
  return {negative, kFinite, fraction | (u64{1} << 52), static_cast<s32>(exponent) - 1075};
}

u64 read_register(std::byte* frame, u32 offset, u32 format, u32 lane) {
  switch (format) {
    case kFmtU8:
    case kFmtS8:
      return slot<u16>(frame, offset)[lane] & 0xff;
    case kFmtU16:
    case kFmtS16:
    case kFmtF16:
    case kFmtBF16:
      return slot<u16>(frame, offset)[lane];
    case kFmtU64:
    case kFmtS64:
    case kFmtF64:
      return slot<u64>(frame, offset)[lane];
    default:
      return slot<u32>(frame, offset)[lane];
  }
}
void write_register(std::byte* frame, u32 offset, u32 format, u32 lane, u64 value) {
  switch (format) {
    case kFmtU8:
      slot<u16>(frame, offset)[lane] = static_cast<u8>(value);
      break;
    case kFmtS8:
      slot<u16>(frame, offset)[lane] = static_cast<u16>(static_cast<s16>(static_cast<s8>(value)));
      break;
    case kFmtU16:
    case kFmtS16:
    case kFmtF16:
    case kFmtBF16:
      slot<u16>(frame, offset)[lane] = static_cast<u16>(value);
      break;
    case kFmtU64:
    case kFmtS64:
    case kFmtF64:
      slot<u64>(frame, offset)[lane] = value;
      break;
    default:
      slot<u32>(frame, offset)[lane] = static_cast<u32>(value);
      break;
  }
}

Unpacked unpack(u32 format, u64 bits, bool ftz) {
  if (is_float(format)) {
    const f32 single = format == kFmtF16    ? half_to_float(static_cast<u16>(bits))
                       : format == kFmtBF16 ? bfloat_to_float(static_cast<u16>(bits))
                                            : bits_as<f32>(static_cast<u32>(bits));
    if (format == kFmtF64) return unpack_double(bits_as<f64>(bits));
    return unpack_double(static_cast<f64>(ftz ? flush(single) : single));
  }
  const u32 width = bits_of(format);
  const u64 shifted = bits << (64 - width);
  const bool negative = is_signed(format) && (shifted >> 63) != 0;
  const u64 value = negative ? u64{0} - static_cast<u64>(static_cast<s64>(shifted) >> (64 - width))
                             : shifted >> (64 - width);
  return {negative, value == 0 ? kZero : kFinite, value, 0};
}

// The mantissa shifted right by `shift`, rounded; shift may exceed 63.
u64 shift_rounding(u64 mantissa, u32 shift, bool negative, u32 mode) {
  if (shift == 0) return mantissa;
  const u64 kept = shift > 63 ? 0 : mantissa >> shift;
  const u64 lost = shift > 63 ? mantissa : mantissa & ((u64{1} << shift) - 1);
  const u64 half = shift > 64 ? 0 : u64{1} << (shift - 1);
  const bool above_half = shift <= 64 && lost > half;
  const bool tie = shift <= 64 && lost == half;
  switch (mode) {
    case kNearest:
      return kept + (above_half || (tie && (kept & 1) != 0) ? 1 : 0);
    case kNearestAway:
      return kept + (above_half || tie ? 1 : 0);
    case kDown:
      return kept + (lost != 0 && negative ? 1 : 0);
    case kUp:
      return kept + (lost != 0 && !negative ? 1 : 0);
    default:
      return kept;
  }
}

u64 pack_bits(const FloatShape& shape, u32 format, bool negative, u32 biased, u64 fraction) {
  const u32 width = format == kFmtF64 ? 64 : format == kFmtF16 || format == kFmtBF16 ? 16 : 32;
  const u32 stored = format == kFmtTF32 ? 23 : shape.precision - 1;
  const u32 unused = stored - (shape.precision - 1);
  return (u64{negative} << (width - 1)) | (u64{biased} << stored) | (fraction << unused);
}

u64 pack_float(Unpacked v, u32 format, u32 flags) {
  const FloatShape shape = shape_of(format);
  const u32 mode = (flags & kRoundMask) >> kRoundShift;
  const u32 all_ones = static_cast<u32>(shape.maximum - shape.minimum + 2);
  if (v.kind == kNotANumber && (flags & kSaturate) != 0) return 0;
  if (v.kind == kNotANumber) {
    return format == kFmtF64                         ? 0x7ff8000000000000ull
           : format == kFmtF32 || format == kFmtTF32 ? kNan32
                                                     : kNan16;
  }
  if (v.negative && v.kind != kZero && (flags & (kRelu | kSaturate)) != 0) v = {false, kZero, 0, 0};
  if (v.kind == kZero)
    return pack_bits(shape, format, v.negative && (flags & (kRelu | kSaturate)) == 0, 0, 0);
  const u32 one = static_cast<u32>(1 - shape.minimum);
  if (v.kind == kInfinity) {
    if ((flags & kSaturate) != 0) return pack_bits(shape, format, false, one, 0);
    if ((flags & kSaturateFinite) != 0)
      return pack_bits(shape, format, v.negative, all_ones - 1, (u64{1} << (shape.precision - 1)) - 1);
    return pack_bits(shape, format, v.negative, all_ones, 0);
  }
  const s32 top = v.exponent + 63 - static_cast<s32>(__builtin_clzll(v.mantissa));
  const s32 least = (top < shape.minimum ? shape.minimum : top) - static_cast<s32>(shape.precision) + 1;
  u64 mantissa = least <= v.exponent
                     ? v.mantissa << (v.exponent - least)
                     : shift_rounding(v.mantissa, static_cast<u32>(least - v.exponent), v.negative, mode);
  s32 exponent = least + static_cast<s32>(shape.precision) - 1;  // of the hidden bit
  if ((mantissa >> shape.precision) != 0) {
    mantissa >>= 1;
    ++exponent;
  }
  const u64 hidden = u64{1} << (shape.precision - 1);
  if ((flags & kSaturate) != 0 && exponent >= 0 && (mantissa & hidden) != 0)
    return pack_bits(shape, format, false, one, 0);
  if (exponent > shape.maximum) {
    const bool to_infinity = mode == kNearest || mode == kNearestAway || (mode == kUp && !v.negative) ||
                             (mode == kDown && v.negative);
    return to_infinity && (flags & kSaturateFinite) == 0
               ? pack_bits(shape, format, v.negative, all_ones, 0)
               : pack_bits(shape, format, v.negative, all_ones - 1, hidden - 1);
  }
  if ((mantissa & hidden) == 0) {
    return pack_bits(shape, format, v.negative, 0, (flags & kFlush) != 0 && format == kFmtF32 ? 0 : mantissa);
  }
  return pack_bits(shape, format, v.negative, static_cast<u32>(exponent - shape.minimum + 1),
                   mantissa & (hidden - 1));
}

Unpacked round_integral(Unpacked v, u32 mode) {
  if (v.kind != kFinite || v.exponent >= 0) return v;
  v.mantissa = shift_rounding(v.mantissa, static_cast<u32>(-v.exponent), v.negative, mode);
  v.exponent = 0;
  if (v.mantissa == 0) v.kind = kZero;
  return v;
}

u64 pack_integer(Unpacked v, u32 format, u32 source, u32 flags) {
  const u32 width = bits_of(format);
  const u64 top_bit = u64{1} << (width - 1);
  if (v.kind == kNotANumber) return width == 64 || source == kFmtF64 ? top_bit : 0;
  v = round_integral(v, (flags & kRoundMask) >> kRoundShift);
  if (v.kind == kZero) return 0;
  const u64 largest = is_signed(format) ? (v.negative ? top_bit : top_bit - 1) : (top_bit - 1) | top_bit;
  if (v.negative && !is_signed(format)) return 0;
  const bool huge =
      v.kind == kInfinity || (v.exponent > 0 && (v.exponent > 63 || v.mantissa > (largest >> v.exponent)));
  const u64 magnitude = huge ? largest : v.mantissa << v.exponent;
  const u64 clamped = magnitude > largest ? largest : magnitude;
  return v.negative ? u64{0} - clamped : clamped;
}

const Op* general(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  const u32 to = op->aux2 & 0xff;
  const u32 from = (op->aux2 >> 8) & 0xff;
  const u32 flags = op->aux;
  TESSERA_ACTIVE(mask) {
    Unpacked v = unpack(from, read_register(frame, op->o[1], from, i), (flags & kFlush) != 0);
    if ((flags & kIntegral) != 0) v = round_integral(v, (flags & kRoundMask) >> kRoundShift);
    const u64 result = is_float(to) ? pack_float(v, to, flags) : pack_integer(v, to, from, flags);
    write_register(frame, op->o[0], to, i, result);
  }
  return op + 1;
}

// cvt.pack.sat: a and b saturated into the low bits of d, above them the low bits of c (o[3], 0 where
// absent).
const Op* pack_saturated(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  const u32 to = op->aux2 & 0xff;
  const u32 width = op->aux2 >> 16;
  u32* d = slot<u32>(frame, op->o[0]);
  TESSERA_ACTIVE(mask) {
    const u64 field = (u64{1} << width) - 1;
    u64 parts[2];
    for (u32 k = 0; k < 2; ++k) {
      const s64 value = slot<s32>(frame, op->o[k + 1])[i];
      const s64 low = is_signed(to) ? -(s64{1} << (width - 1)) : 0;
      const s64 high = is_signed(to) ? (s64{1} << (width - 1)) - 1 : static_cast<s64>(field);
      parts[k] = static_cast<u64>(value < low ? low : value > high ? high : value) & field;
    }
    const u64 above = u64{slot<u32>(frame, op->o[3])[i]} << (2 * width);
    d[i] = static_cast<u32>(above | (parts[0] << width) | parts[1]);
  }
  return op + 1;
}

}  // namespace

#define TESSERA_FROM(name, S, R, s)                                                                          \
  {"cvt.u8." name, "H" s, &unary<Narrow<S, u8>, u16, R>},                                                    \
      {"cvt.s8." name, "H" s, &unary<Narrow<S, s8>, s16, R>},                                                \
      {"cvt.b16." name, "H" s, &unary<As<S>, u16, R>}, {"cvt.b32." name, "W" s, &unary<As<S>, u32, R>},      \
      {"cvt.b64." name, "Q" s, &unary<As<S>, u64, R>}, {"cvt.rn.f32." name, "F" s, &unary<As<S>, f32, R>}, { \
    "cvt.rn.f64." name, "D" s, &unary<As<S>, f64, R>                                                         \
  }
#define TESSERA_TO_INTEGER(round, R, type, T, s)                               \
  {"cvt." round ".u32." type, "W" s, &unary<ToInteger<u32, R>, u32, T>},       \
      {"cvt." round ".s32." type, "W" s, &unary<ToInteger<s32, R>, s32, T>},   \
      {"cvt." round ".u64." type, "Q" s, &unary<ToInteger<u64, R>, u64, T>}, { \
    "cvt." round ".s64." type, "Q" s, &unary<ToInteger<s64, R>, s64, T>        \
  }
#define TESSERA_ROUND(round, R)                                       \
  {"cvt." round ".f32.f32", "Ff", &unary<Integral<R>, f32, f32>},     \
      {"cvt." round ".f64.f64", "Dd", &unary<Integral<R>, f64, f64>}, \
      TESSERA_TO_INTEGER(round, R, "f32", f32, "f"), TESSERA_TO_INTEGER(round, R, "f64", f64, "d")

const Entry kConvertEntries[] = {
    TESSERA_FROM("u8", u8, u16, "h"),
    TESSERA_FROM("s8", s8, u16, "h"),
    TESSERA_FROM("u16", u16, u16, "h"),
    TESSERA_FROM("s16", s16, u16, "h"),
    TESSERA_FROM("u32", u32, u32, "w"),
    TESSERA_FROM("s32", s32, u32, "w"),
    TESSERA_FROM("u64", u64, u64, "q"),
    TESSERA_FROM("s64", s64, u64, "q"),
    TESSERA_ROUND("rni", Rni),
    TESSERA_ROUND("rzi", Rzi),
    TESSERA_ROUND("rmi", Rmi),
    TESSERA_ROUND("rpi", Rpi),
    {"cvt.f32.f16", "Fh", &unary<HalfToF32, f32, u16>},
    {"cvt.f64.f16", "Dh", &unary<HalfToF64, f64, u16>},
    {"cvt.f32.bf16", "Fh", &unary<BfloatToF32, f32, u16>},
    {"cvt.rn.f16.f32", "Hf", &unary<F32ToHalf, u16, f32>},
    {"cvt.rn.f16.f64", "Hd", &unary<F64ToHalf, u16, f64>},
    {"cvt.rn.bf16.f32", "Hf", &unary<F32ToBfloat, u16, f32>},
    {"cvt.f64.f32", "Df", &unary<F32ToF64, f64, f32>},
    {"cvt.rn.f32.f64", "Fd", &unary<F64ToF32, f32, f64>},
    // Not PTX names: formats in Op::aux2, flags in Op::aux; the letters are the registers' widths.
    {"convert.Hh", "Hh", &general},
    {"convert.Hw", "Hw", &general},
    {"convert.Hq", "Hq", &general},
    {"convert.Wh", "Wh", &general},
    {"convert.Ww", "Ww", &general},
    {"convert.Wq", "Wq", &general},
    {"convert.Qh", "Qh", &general},
    {"convert.Qw", "Qw", &general},
    {"convert.Qq", "Qq", &general},
    {"convert.pack", "Wwww", &pack_saturated},
};
const size_t kConvertCount = sizeof(kConvertEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
