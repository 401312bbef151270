// f32 and f64 arithmetic. Rounding to nearest without saturation is vectorised; directed rounding and .sat go
// lane by lane through one handler that takes its flags from Op::aux.
#include <fenv.h>

#include "softgpu/exec/handlers/floats.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

inline f32 fused(f32 a, f32 b, f32 c) { return __builtin_fmaf(a, b, c); }
inline f64 fused(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }
inline f32 root(f32 a) { return __builtin_sqrtf(a); }
inline f64 root(f64 a) { return __builtin_sqrt(a); }

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return canonical(a + b);
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b) {
    return canonical(a - b);
  }
};
struct Mul {
  template <class T>
  static T apply(T a, T b) {
    return canonical(a * b);
  }
};
struct Div {
  template <class T>
  static T apply(T a, T b) {
    return canonical(a / b);
  }
};
struct Fma {
  template <class T>
  static T apply(T a, T b, T c) {
    return canonical(fused(a, b, c));
  }
};
struct Rcp {
  template <class T>
  static T apply(T a) {
    return canonical(T{1} / a);
  }
};
struct Sqrt {
  template <class T>
  static T apply(T a) {
    return canonical(root(a));
  }
};
struct Neg {
  static f32 apply(f32 a) { return bits_as<f32>(bits_as<u32>(a) ^ 0x80000000u); }
  static f64 apply(f64 a) { return bits_as<f64>(bits_as<u64>(a) ^ 0x8000000000000000ull); }
};
struct Abs {
  static f32 apply(f32 a) { return bits_as<f32>(bits_as<u32>(a) & 0x7fffffffu); }
  static f64 apply(f64 a) { return bits_as<f64>(bits_as<u64>(a) & 0x7fffffffffffffffull); }
};
template <class T>
struct BitsOf {
  using Type = u32;
};
template <>
struct BitsOf<f64> {
  using Type = u64;
};
// A NaN operand yields the other one; -0 is less than +0.
struct Min {
  template <class T>
  static T apply(T a, T b) {
    using U = typename BitsOf<T>::Type;
    const T zero = bits_as<T>(static_cast<U>(bits_as<U>(a) | bits_as<U>(b)));
    const T r = a < b ? a : a == b ? zero : b;
    return canonical(b != b ? a : r);
  }
};
struct Max {
  template <class T>
  static T apply(T a, T b) {
    using U = typename BitsOf<T>::Type;
    const T zero = bits_as<T>(static_cast<U>(bits_as<U>(a) & bits_as<U>(b)));
    const T r = a > b ? a : a == b ? zero : b;
    return canonical(b != b ? a : r);
  }
};
// copysign d, a, b: the sign of a on the magnitude of b.
struct Copysign {
  static u32 apply(u32 a, u32 b) { return (a & 0x80000000u) | (b & 0x7fffffffu); }
  static u64 apply(u64 a, u64 b) { return (a & 0x8000000000000000ull) | (b & 0x7fffffffffffffffull); }
};
template <class F>
struct Ftz {
  static f32 apply(f32 a) { return flush(F::apply(flush(a))); }
  static f32 apply(f32 a, f32 b) { return flush(F::apply(flush(a), flush(b))); }
  static f32 apply(f32 a, f32 b, f32 c) { return flush(F::apply(flush(a), flush(b), flush(c))); }
};

// Volatile operands keep the arithmetic between the calls that set the rounding mode.
template <class T>
T rounded(u32 operation, T x, T y, T z) {
  volatile T a = x, b = y, c = z;
  volatile T r;
  switch (operation) {
    case kFloatAdd:
      r = a + b;
      break;
    case kFloatSub:
      r = a - b;
      break;
    case kFloatMul:
      r = a * b;
      break;
    case kFloatFma:
      r = fused(a, b, c);
      break;
    case kFloatDiv:
      r = a / b;
      break;
    case kFloatRcp:
      r = T{1} / a;
      break;
    default:
      r = root(a);
      break;
  }
  return r;
}

template <class T>
T minmax(u32 flags, T a, T b) {
  using U = typename BitsOf<T>::Type;
  const U sign = U{1} << (sizeof(U) * 8 - 1);
  if ((flags & kKeepNan) != 0 && (a != a || b != b)) return canonical(a != a ? a : b);
  const T x = (flags & kXorSign) != 0 ? Abs::apply(a) : a;
  const T y = (flags & kXorSign) != 0 ? Abs::apply(b) : b;
  const T r = (flags & kFloatOperationMask) == kFloatMin ? Min::apply(x, y) : Max::apply(x, y);
  if ((flags & kXorSign) == 0 || r != r) return r;
  return bits_as<T>(static_cast<U>((bits_as<U>(r) & ~sign) | ((bits_as<U>(a) ^ bits_as<U>(b)) & sign)));
}

template <class T>
T sign_operation(u32 operation, T a) {
  return operation == kFloatNeg ? Neg::apply(a) : Abs::apply(a);
}

template <class T>
const Op* general(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  static constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
  T* d = slot<T>(frame, op->o[0]);
  const T* a = slot<T>(frame, op->o[1]);
  const T* b = slot<T>(frame, op->o[2]);
  const T* c = slot<T>(frame, op->o[3]);
  const u32 flags = op->aux;
  const u32 operation = flags & kFloatOperationMask;
  const u32 mode = (flags & kRoundMask) >> kRoundShift;
  const bool ftz = (flags & kFlush) != 0;
  if (mode != kNearest) fesetround(kModes[mode]);
  TESSERA_ACTIVE(mask) {
    const T x = ftz ? flush(a[i]) : a[i];
    const T y = ftz ? flush(b[i]) : b[i];
    const T z = ftz ? flush(c[i]) : c[i];
    T r;
    if (operation == kFloatMin || operation == kFloatMax) {
      r = minmax(flags, x, y);
    } else if (operation == kFloatNeg || operation == kFloatAbs) {
      r = sign_operation(operation, x);
    } else {
      r = canonical(rounded(operation, x, y, z));
    }
    if (ftz) r = flush(r);
    if ((flags & kSaturate) != 0) r = saturate(r);
    d[i] = r;
  }
  if (mode != kNearest) fesetround(FE_TONEAREST);
  return op + 1;
}

template <class F, class T>
constexpr Handler one = &unary<F, T, T>;
template <class F, class T>
constexpr Handler two = &binary<F, T, T, T>;
template <class F, class T>
constexpr Handler three = &ternary<F, T, T, T, T>;

}  // namespace

const Entry kFloatEntries[] = {
    {"add.f32", "Fff", two<Add, f32>},
    {"sub.f32", "Fff", two<Sub, f32>},
    {"mul.f32", "Fff", two<Mul, f32>},
    {"fma.f32", "Ffff", three<Fma, f32>},
    {"mad.f32", "Ffff", three<Fma, f32>},
    {"add.ftz.f32", "Fff", two<Ftz<Add>, f32>},
    {"sub.ftz.f32", "Fff", two<Ftz<Sub>, f32>},
    {"mul.ftz.f32", "Fff", two<Ftz<Mul>, f32>},
    {"fma.ftz.f32", "Ffff", three<Ftz<Fma>, f32>},
    {"mad.ftz.f32", "Ffff", three<Ftz<Fma>, f32>},
    {"add.f64", "Ddd", two<Add, f64>},
    {"sub.f64", "Ddd", two<Sub, f64>},
    {"mul.f64", "Ddd", two<Mul, f64>},
    {"fma.f64", "Dddd", three<Fma, f64>},
    {"mad.f64", "Dddd", three<Fma, f64>},
    {"div.f32", "Fff", two<Div, f32>},
    {"div.f64", "Ddd", two<Div, f64>},
    {"rcp.f32", "Ff", one<Rcp, f32>},
    {"rcp.f64", "Dd", one<Rcp, f64>},
    {"sqrt.f32", "Ff", one<Sqrt, f32>},
    {"sqrt.f64", "Dd", one<Sqrt, f64>},
    {"neg.f32", "Ff", one<Neg, f32>},
    {"neg.f64", "Dd", one<Neg, f64>},
    {"abs.f32", "Ff", one<Abs, f32>},
    {"abs.f64", "Dd", one<Abs, f64>},
    {"neg.ftz.f32", "Ff", one<Ftz<Neg>, f32>},
    {"abs.ftz.f32", "Ff", one<Ftz<Abs>, f32>},
    {"min.f32", "Fff", two<Min, f32>},
    {"min.f64", "Ddd", two<Min, f64>},
    {"max.f32", "Fff", two<Max, f32>},
    {"max.f64", "Ddd", two<Max, f64>},
    {"min.ftz.f32", "Fff", two<Ftz<Min>, f32>},
    {"max.ftz.f32", "Fff", two<Ftz<Max>, f32>},
    {"copysign.f32", "Fff", two<Copysign, u32>},
    {"copysign.f64", "Ddd", two<Copysign, u64>},
    // Not PTX names: flags in Op::aux; unused operands repeat the first.
    {"float.general.f32", "Ffff", &general<f32>},
    {"float.general.f64", "Dddd", &general<f64>},
};
const size_t kFloatCount = sizeof(kFloatEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
