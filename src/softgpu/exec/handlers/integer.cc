// Integer arithmetic: add, sub, mul, mad, div, rem, min, max and their 24-bit, saturating and wide forms.
#include "softgpu/exec/handlers/lanes.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

template <class T>
struct Limits {
  static constexpr bool is_signed = static_cast<T>(-1) < static_cast<T>(0);
  static constexpr T min = is_signed ? static_cast<T>(u64{1} << (sizeof(T) * 8 - 1)) : static_cast<T>(0);
  static constexpr T max = static_cast<T>(~min);
};

// Arithmetic is done unsigned: PTX wraps, C++ must not overflow a signed type. 16-bit values go through u32,
// since u16 would be promoted to int.
struct Add {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a + b);
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a - b);
  }
};
struct MulLo {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a * b);
  }
  static u16 apply(u16 a, u16 b) { return static_cast<u16>(u32{a} * u32{b}); }
};
struct MadLo {
  template <class T>
  static T apply(T a, T b, T c) {
    return static_cast<T>(MulLo::apply(a, b) + c);
  }
};
template <class W>
struct MulHi {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>((static_cast<W>(a) * static_cast<W>(b)) >> (sizeof(T) * 8));
  }
};
template <class W, class U>
struct MadHi {
  template <class T>
  static T apply(T a, T b, T c) {
    return static_cast<T>(static_cast<U>(MulHi<W>::apply(a, b)) + static_cast<U>(c));
  }
};
template <class W>
struct MulWide {
  template <class T>
  static W apply(T a, T b) {
    return static_cast<W>(a) * static_cast<W>(b);
  }
};
template <class W, class U>
struct MadWide {
  template <class T>
  static W apply(T a, T b, W c) {
    return static_cast<W>(static_cast<U>(static_cast<W>(a) * static_cast<W>(b)) + static_cast<U>(c));
  }
};
struct AddSat {
  static s32 apply(s32 a, s32 b) {
    const s64 r = s64{a} + b;
    return static_cast<s32>(r > Limits<s32>::max   ? s64{Limits<s32>::max}
                            : r < Limits<s32>::min ? s64{Limits<s32>::min}
                                                   : r);
  }
};
struct SubSat {
  static s32 apply(s32 a, s32 b) {
    const s64 r = s64{a} - b;
    return static_cast<s32>(r > Limits<s32>::max   ? s64{Limits<s32>::max}
                            : r < Limits<s32>::min ? s64{Limits<s32>::min}
                                                   : r);
  }
};
struct MadHiSat {
  static s32 apply(s32 a, s32 b, s32 c) { return AddSat::apply(static_cast<s32>((s64{a} * b) >> 32), c); }
};

inline s64 sext24(u32 a) { return static_cast<s32>(a << 8) >> 8; }
struct Mul24LoS {
  static u32 apply(u32 a, u32 b) { return static_cast<u32>(sext24(a) * sext24(b)); }
};
struct Mul24HiS {
  static u32 apply(u32 a, u32 b) { return static_cast<u32>((sext24(a) * sext24(b)) >> 16); }
};
struct Mul24LoU {
  static u32 apply(u32 a, u32 b) { return static_cast<u32>(u64{a & 0xffffff} * u64{b & 0xffffff}); }
};
struct Mul24HiU {
  static u32 apply(u32 a, u32 b) { return static_cast<u32>((u64{a & 0xffffff} * u64{b & 0xffffff}) >> 16); }
};
template <class F>
struct ThenAdd {
  static u32 apply(u32 a, u32 b, u32 c) { return F::apply(a, b) + c; }
};
struct Mad24HiSat {
  static s32 apply(u32 a, u32 b, u32 c) {
    return AddSat::apply(static_cast<s32>(Mul24HiS::apply(a, b)), static_cast<s32>(c));
  }
};

template <class U>
struct Sad {
  template <class T>
  static T apply(T a, T b, T c) {
    const U difference = a < b ? static_cast<U>(static_cast<U>(b) - static_cast<U>(a))
                               : static_cast<U>(static_cast<U>(a) - static_cast<U>(b));
    return static_cast<T>(static_cast<U>(c) + difference);
  }
};

// x / 0 is all ones and x % 0 is x, as on hardware; the most negative number / -1 wraps.
struct Div {
  template <class T>
  static T apply(T a, T b) {
    if (b == 0) return static_cast<T>(-1);
    if (Limits<T>::is_signed && b == static_cast<T>(-1)) return static_cast<T>(u64{0} - static_cast<u64>(a));
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <class T>
  static T apply(T a, T b) {
    if (b == 0) return a;
    if (Limits<T>::is_signed && b == static_cast<T>(-1)) return 0;
    return static_cast<T>(a % b);
  }
};
// 32-bit quotients are exact in double: a quotient that is no integer differs from one by at least 1/b, more
// than the division's rounding error.
struct DivU32 {
  static u32 apply(u32 a, u32 b) {
    const u32 q = static_cast<u32>(static_cast<s64>(static_cast<f64>(a) / static_cast<f64>(b == 0 ? 1 : b)));
    return b == 0 ? ~u32{0} : q;
  }
};
struct DivS32 {
  static s32 apply(s32 a, s32 b) {
    const s32 q = static_cast<s32>(static_cast<s64>(static_cast<f64>(a) / static_cast<f64>(b == 0 ? 1 : b)));
    return b == 0 ? -1 : q;
  }
};
struct RemU32 {
  static u32 apply(u32 a, u32 b) {
    const u32 q = static_cast<u32>(static_cast<s64>(static_cast<f64>(a) / static_cast<f64>(b == 0 ? 1 : b)));
    return b == 0 ? a : a - q * b;
  }
};
struct RemS32 {
  static s32 apply(s32 a, s32 b) {
    const s64 q = static_cast<s64>(static_cast<f64>(a) / static_cast<f64>(b == 0 ? 1 : b));
    return b == 0 ? a : static_cast<s32>(a - q * b);
  }
};

template <class U>
struct Abs {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(a < 0 ? static_cast<U>(U{0} - static_cast<U>(a)) : static_cast<U>(a));
  }
};
struct Neg {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(T{0} - a);
  }
};
struct Min {
  template <class T>
  static T apply(T a, T b) {
    return a < b ? a : b;
  }
};
struct Max {
  template <class T>
  static T apply(T a, T b) {
    return a > b ? a : b;
  }
};
template <class F>
struct Relu {
  template <class T>
  static T apply(T a, T b) {
    const T r = F::apply(a, b);
    return r < 0 ? T{0} : r;
  }
};

// Two 16-bit values in one 32-bit register.
template <class F, class T>
struct Pair {
  static u32 apply(u32 a, u32 b) {
    const T low = F::apply(static_cast<T>(a), static_cast<T>(b));
    const T high = F::apply(static_cast<T>(a >> 16), static_cast<T>(b >> 16));
    return static_cast<u32>(static_cast<u16>(low)) | (static_cast<u32>(static_cast<u16>(high)) << 16);
  }
};

template <class F, class T>
constexpr Handler two = &binary<F, T, T, T>;
template <class F, class T>
constexpr Handler three = &ternary<F, T, T, T, T>;
template <class F, class T>
constexpr Handler two_each = &binary_each<F, T, T, T>;

}  // namespace

const Entry kIntegerEntries[] = {
    {"add.b16", "Hhh", two<Add, u16>},
    {"add.b32", "Www", two<Add, u32>},
    {"add.b64", "Qqq", two<Add, u64>},
    {"sub.b16", "Hhh", two<Sub, u16>},
    {"sub.b32", "Www", two<Sub, u32>},
    {"sub.b64", "Qqq", two<Sub, u64>},
    {"add.sat.s32", "Www", two<AddSat, s32>},
    {"sub.sat.s32", "Www", two<SubSat, s32>},
    {"add.u16x2", "Www", two<Pair<Add, u16>, u32>},
    {"add.s16x2", "Www", two<Pair<Add, u16>, u32>},
    {"mul.lo.b16", "Hhh", two<MulLo, u16>},
    {"mul.lo.b32", "Www", two<MulLo, u32>},
    {"mul.lo.b64", "Qqq", two<MulLo, u64>},
    {"mul.hi.u16", "Hhh", two<MulHi<u32>, u16>},
    {"mul.hi.s16", "Hhh", two<MulHi<s32>, s16>},
    {"mul.hi.u32", "Www", two<MulHi<u64>, u32>},
    {"mul.hi.s32", "Www", two<MulHi<s64>, s32>},
    {"mul.hi.u64", "Qqq", two_each<MulHi<u128>, u64>},
    {"mul.hi.s64", "Qqq", two_each<MulHi<s128>, s64>},
    {"mul.wide.u16", "Whh", &binary<MulWide<u32>, u32, u16, u16>},
    {"mul.wide.s16", "Whh", &binary<MulWide<s32>, s32, s16, s16>},
    {"mul.wide.u32", "Qww", &binary<MulWide<u64>, u64, u32, u32>},
    {"mul.wide.s32", "Qww", &binary<MulWide<s64>, s64, s32, s32>},
    {"mad.lo.b16", "Hhhh", three<MadLo, u16>},
    {"mad.lo.b32", "Wwww", three<MadLo, u32>},
    {"mad.lo.b64", "Qqqq", three<MadLo, u64>},
    {"mad.hi.u16", "Hhhh", three<MadHi<u32, u16>, u16>},
    {"mad.hi.s16", "Hhhh", three<MadHi<s32, u16>, s16>},
    {"mad.hi.u32", "Wwww", three<MadHi<u64, u32>, u32>},
    {"mad.hi.s32", "Wwww", three<MadHi<s64, u32>, s32>},
    {"mad.hi.u64", "Qqqq", &ternary_each<MadHi<u128, u64>, u64, u64, u64, u64>},
    {"mad.hi.s64", "Qqqq", &ternary_each<MadHi<s128, u64>, s64, s64, s64, s64>},
    {"mad.hi.sat.s32", "Wwww", three<MadHiSat, s32>},
    {"mad.wide.u16", "Whhw", &ternary<MadWide<u32, u32>, u32, u16, u16, u32>},
    {"mad.wide.s16", "Whhw", &ternary<MadWide<s32, u32>, s32, s16, s16, s32>},
    {"mad.wide.u32", "Qwwq", &ternary<MadWide<u64, u64>, u64, u32, u32, u64>},
    {"mad.wide.s32", "Qwwq", &ternary<MadWide<s64, u64>, s64, s32, s32, s64>},
    {"mul24.lo.s32", "Www", two<Mul24LoS, u32>},
    {"mul24.hi.s32", "Www", two<Mul24HiS, u32>},
    {"mul24.lo.u32", "Www", two<Mul24LoU, u32>},
    {"mul24.hi.u32", "Www", two<Mul24HiU, u32>},
    {"mad24.lo.s32", "Wwww", three<ThenAdd<Mul24LoS>, u32>},
    {"mad24.hi.s32", "Wwww", three<ThenAdd<Mul24HiS>, u32>},
    {"mad24.lo.u32", "Wwww", three<ThenAdd<Mul24LoU>, u32>},
    {"mad24.hi.u32", "Wwww", three<ThenAdd<Mul24HiU>, u32>},
    {"mad24.hi.sat.s32", "Wwww", three<Mad24HiSat, u32>},
    {"sad.u16", "Hhhh", three<Sad<u16>, u16>},
    {"sad.s16", "Hhhh", three<Sad<u16>, s16>},
    {"sad.u32", "Wwww", three<Sad<u32>, u32>},
    {"sad.s32", "Wwww", three<Sad<u32>, s32>},
    {"sad.u64", "Qqqq", three<Sad<u64>, u64>},
    {"sad.s64", "Qqqq", three<Sad<u64>, s64>},
    {"div.u16", "Hhh", two_each<Div, u16>},
    {"div.s16", "Hhh", two_each<Div, s16>},
    {"div.u32", "Www", two<DivU32, u32>},
    {"div.s32", "Www", two<DivS32, s32>},
    {"div.u64", "Qqq", two_each<Div, u64>},
    {"div.s64", "Qqq", two_each<Div, s64>},
    {"rem.u16", "Hhh", two_each<Rem, u16>},
    {"rem.s16", "Hhh", two_each<Rem, s16>},
    {"rem.u32", "Www", two<RemU32, u32>},
    {"rem.s32", "Www", two<RemS32, s32>},
    {"rem.u64", "Qqq", two_each<Rem, u64>},
    {"rem.s64", "Qqq", two_each<Rem, s64>},
    {"abs.s16", "Hh", &unary<Abs<u16>, s16, s16>},
    {"abs.s32", "Ww", &unary<Abs<u32>, s32, s32>},
    {"abs.s64", "Qq", &unary<Abs<u64>, s64, s64>},
    {"neg.s16", "Hh", &unary<Neg, u16, u16>},
    {"neg.s32", "Ww", &unary<Neg, u32, u32>},
    {"neg.s64", "Qq", &unary<Neg, u64, u64>},
    {"min.u16", "Hhh", two<Min, u16>},
    {"min.s16", "Hhh", two<Min, s16>},
    {"max.u16", "Hhh", two<Max, u16>},
    {"max.s16", "Hhh", two<Max, s16>},
    {"min.u32", "Www", two<Min, u32>},
    {"min.s32", "Www", two<Min, s32>},
    {"max.u32", "Www", two<Max, u32>},
    {"max.s32", "Www", two<Max, s32>},
    {"min.u64", "Qqq", two<Min, u64>},
    {"min.s64", "Qqq", two<Min, s64>},
    {"max.u64", "Qqq", two<Max, u64>},
    {"max.s64", "Qqq", two<Max, s64>},
    {"min.relu.s32", "Www", two<Relu<Min>, s32>},
    {"max.relu.s32", "Www", two<Relu<Max>, s32>},
    {"min.u16x2", "Www", two<Pair<Min, u16>, u32>},
    {"max.u16x2", "Www", two<Pair<Max, u16>, u32>},
    {"min.s16x2", "Www", two<Pair<Min, s16>, u32>},
    {"max.s16x2", "Www", two<Pair<Max, s16>, u32>},
    {"min.relu.s16x2", "Www", two<Pair<Relu<Min>, s16>, u32>},
    {"max.relu.s16x2", "Www", two<Pair<Relu<Max>, s16>, u32>},
};
const size_t kIntegerCount = sizeof(kIntegerEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
