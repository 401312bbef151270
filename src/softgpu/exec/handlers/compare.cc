// setp: comparisons to lane masks. The decoder builds set, combined and paired forms from these.
#include "softgpu/exec/handlers/floats.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

struct Eq {
  template <class T>
  static bool apply(T a, T b) {
    return a == b;
  }
};
struct Ne {
  template <class T>
  static bool apply(T a, T b) {
    return a != b;
  }
};
struct Lt {
  template <class T>
  static bool apply(T a, T b) {
    return a < b;
  }
};
struct Le {
  template <class T>
  static bool apply(T a, T b) {
    return a <= b;
  }
};
struct Gt {
  template <class T>
  static bool apply(T a, T b) {
    return a > b;
  }
};
struct Ge {
  template <class T>
  static bool apply(T a, T b) {
    return a >= b;
  }
};
// Ordered "ne" is false for NaN; the u forms are true for it.
struct FNe {
  template <class T>
  static bool apply(T a, T b) {
    return (a < b) | (a > b);
  }
};
struct Equ {
  template <class T>
  static bool apply(T a, T b) {
    return !FNe::apply(a, b);
  }
};
struct Ltu {
  template <class T>
  static bool apply(T a, T b) {
    return !(a >= b);
  }
};
struct Leu {
  template <class T>
  static bool apply(T a, T b) {
    return !(a > b);
  }
};
struct Gtu {
  template <class T>
  static bool apply(T a, T b) {
    return !(a <= b);
  }
};
struct Geu {
  template <class T>
  static bool apply(T a, T b) {
    return !(a < b);
  }
};
struct Num {
  template <class T>
  static bool apply(T a, T b) {
    return (a == a) & (b == b);
  }
};
struct IsNan {
  template <class T>
  static bool apply(T a, T b) {
    return (a != a) | (b != b);
  }
};
template <class F>
struct Flushed {
  static bool apply(f32 a, f32 b) { return F::apply(flush(a), flush(b)); }
};

template <class F, class T>
const Op* compare(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  const T* a = slot<T>(frame, op->o[1]);
  const T* b = slot<T>(frame, op->o[2]);
  using U = typename UnsignedOf<sizeof(T)>::Type;
  alignas(64) U holds[kWarpSize];
  TESSERA_LANES holds[i] = static_cast<U>(U{0} - static_cast<U>(F::apply(a[i], b[i]) ? 1 : 0));
  write_predicate(frame, op->o[0], mask, mask_of(holds));
  return op + 1;
}

bool holds(u32 comparison, f32 a, f32 b) {
  switch (comparison) {
    case kEq:
      return a == b;
    case kNe:
      return FNe::apply(a, b);
    case kLt:
      return a < b;
    case kLe:
      return a <= b;
    case kGt:
      return a > b;
    case kGe:
      return a >= b;
    case kEqu:
      return Equ::apply(a, b);
    case kNeu:
      return a != b;
    case kLtu:
      return Ltu::apply(a, b);
    case kLeu:
      return Leu::apply(a, b);
    case kGtu:
      return Gtu::apply(a, b);
    case kGeu:
      return Geu::apply(a, b);
    case kNum:
      return Num::apply(a, b);
    default:
      return IsNan::apply(a, b);
  }
}
// Half formats; Part 0 compares the low (or only) value, Part 1 the high one of a pair. Subnormals compare
// the same flushed only with kFlush.
template <class H, class T, u32 Part>
const Op* compare_half(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  const T* a = slot<T>(frame, op->o[1]);
  const T* b = slot<T>(frame, op->o[2]);
  const u32 comparison = (op->aux >> kCompareShift) & 15;
  uint32_t bits = 0;
  TESSERA_ACTIVE(mask) {
    u16 x = static_cast<u16>(a[i] >> (16 * Part));
    u16 y = static_cast<u16>(b[i] >> (16 * Part));
    if ((op->aux & kFlush) != 0) {
      if ((x & 0x7fff) < H::kSubnormalLimit) x &= 0x8000;
      if ((y & 0x7fff) < H::kSubnormalLimit) y &= 0x8000;
    }
    if (holds(comparison, H::load(x), H::load(y))) bits |= 1u << i;
  }
  write_predicate(frame, op->o[0], mask, bits);
  return op + 1;
}

// testp
template <class U, U Exponent, U Fraction>
struct Test {
  enum Property { kFinite, kInfinite, kNumber, kNotANumber, kNormal, kSubnormal };
  template <Property P>
  static const Op* run(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
    const U* a = slot<U>(frame, op->o[1]);
    uint32_t bits = 0;
    TESSERA_ACTIVE(mask) {
      const U exponent = a[i] & Exponent;
      const U fraction = a[i] & Fraction;
      const bool special = exponent == Exponent;
      const bool result = P == kFinite       ? !special
                          : P == kInfinite   ? special && fraction == 0
                          : P == kNumber     ? !(special && fraction != 0)
                          : P == kNotANumber ? special && fraction != 0
                          : P == kNormal     ? !special && exponent != 0
                                             : exponent == 0 && fraction != 0;
      if (result) bits |= 1u << i;
    }
    write_predicate(frame, op->o[0], mask, bits);
    return op + 1;
  }
};
using Test32 = Test<u32, 0x7f800000u, 0x007fffffu>;
using Test64 = Test<u64, 0x7ff0000000000000ull, 0x000fffffffffffffull>;

}  // namespace

#define TESSERA_ORDER(type, T, s)                                                           \
  {"setp.lt." type, "P" s s, &compare<Lt, T>}, {"setp.le." type, "P" s s, &compare<Le, T>}, \
      {"setp.gt." type, "P" s s, &compare<Gt, T>}, {                                        \
    "setp.ge." type, "P" s s, &compare<Ge, T>                                               \
  }
#define TESSERA_EQUALITY(type, T, s) \
  {"setp.eq." type, "P" s s, &compare<Eq, T>}, { "setp.ne." type, "P" s s, &compare<Ne, T> }
#define TESSERA_FLOAT_SETP(type, T, s, W)                                                                 \
  {"setp.eq." type, "P" s s, &compare<W(Eq), T>}, {"setp.ne." type, "P" s s, &compare<W(FNe), T>},        \
      {"setp.lt." type, "P" s s, &compare<W(Lt), T>}, {"setp.le." type, "P" s s, &compare<W(Le), T>},     \
      {"setp.gt." type, "P" s s, &compare<W(Gt), T>}, {"setp.ge." type, "P" s s, &compare<W(Ge), T>},     \
      {"setp.equ." type, "P" s s, &compare<W(Equ), T>}, {"setp.neu." type, "P" s s, &compare<W(Ne), T>},  \
      {"setp.ltu." type, "P" s s, &compare<W(Ltu), T>}, {"setp.leu." type, "P" s s, &compare<W(Leu), T>}, \
      {"setp.gtu." type, "P" s s, &compare<W(Gtu), T>}, {"setp.geu." type, "P" s s, &compare<W(Geu), T>}, \
      {"setp.num." type, "P" s s, &compare<W(Num), T>}, {                                                 \
    "setp.nan." type, "P" s s, &compare<W(IsNan), T>                                                      \
  }
#define TESSERA_PLAIN(F) F
#define TESSERA_FLUSHED(F) Flushed<F>
#define TESSERA_TESTP(type, s, T)                                 \
  {"testp.finite." type, "P" s, &T::run<T::kFinite>},             \
      {"testp.infinite." type, "P" s, &T::run<T::kInfinite>},     \
      {"testp.number." type, "P" s, &T::run<T::kNumber>},         \
      {"testp.notanumber." type, "P" s, &T::run<T::kNotANumber>}, \
      {"testp.normal." type, "P" s, &T::run<T::kNormal>}, {       \
    "testp.subnormal." type, "P" s, &T::run<T::kSubnormal>        \
  }

const Entry kCompareEntries[] = {
    TESSERA_EQUALITY("b16", u16, "h"),
    TESSERA_EQUALITY("b32", u32, "w"),
    TESSERA_EQUALITY("b64", u64, "q"),
    TESSERA_ORDER("u16", u16, "h"),
    TESSERA_ORDER("s16", s16, "h"),
    TESSERA_ORDER("u32", u32, "w"),
    TESSERA_ORDER("s32", s32, "w"),
    TESSERA_ORDER("u64", u64, "q"),
    TESSERA_ORDER("s64", s64, "q"),
    TESSERA_FLOAT_SETP("f32", f32, "f", TESSERA_PLAIN),
    TESSERA_FLOAT_SETP("f64", f64, "d", TESSERA_PLAIN),
    TESSERA_FLOAT_SETP("ftz.f32", f32, "f", TESSERA_FLUSHED),
    // Not PTX names: the comparison is in Op::aux.
    {"compare.f16", "Phh", &compare_half<F16, u16, 0>},
    {"compare.bf16", "Phh", &compare_half<BF16, u16, 0>},
    {"compare.f16x2.0", "Pww", &compare_half<F16, u32, 0>},
    {"compare.f16x2.1", "Pww", &compare_half<F16, u32, 1>},
    {"compare.bf16x2.0", "Pww", &compare_half<BF16, u32, 0>},
    {"compare.bf16x2.1", "Pww", &compare_half<BF16, u32, 1>},
    TESSERA_TESTP("f32", "f", Test32),
    TESSERA_TESTP("f64", "d", Test64),
};
const size_t kCompareCount = sizeof(kCompareEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
