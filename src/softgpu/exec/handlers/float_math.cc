// The approximate functions of PTX. Each is at least as accurate as the hardware's documented error: they are
// computed in double, or by IEEE division and square root.
#include "softgpu/exec/handlers/floats.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

constexpr f64 kRoundMagic =
    6755399441055744.0;  // 1.5 * 2^52: adding it leaves the nearest integer in the low bits

struct DivApprox {
  static f32 apply(f32 a, f32 b) { return canonical(a / b); }
};
struct RcpApprox {
  static f32 apply(f32 a) { return canonical(1.0f / a); }
};
struct SqrtApprox {
  static f32 apply(f32 a) { return canonical(__builtin_sqrtf(a)); }
};
struct RsqrtApprox {
  static f32 apply(f32 a) { return canonical(1.0f / __builtin_sqrtf(a)); }
};
struct RcpApprox64 {
  static f64 apply(f64 a) { return flush(1.0 / flush(a)); }
};
struct RsqrtApprox64 {
  static f64 apply(f64 a) { return 1.0 / __builtin_sqrt(a); }
};
struct RsqrtApproxFtz64 {
  static f64 apply(f64 a) { return 1.0 / __builtin_sqrt(flush(a)); }
};

// 2^x = 2^n * 2^f with |f| <= 1/2; the Taylor series of 2^f to the 8th power is good to 2e-10.
struct Ex2 {
  static f32 apply(f32 value) {
    const f32 clamped = value > 200.0f ? 200.0f : value < -200.0f ? -200.0f : value;
    const f64 x = static_cast<f64>(clamped == clamped ? clamped : 0.0f);
    const f64 shifted = x + kRoundMagic;
    const f64 f = (x - (shifted - kRoundMagic)) * 0.693147180559945309417;
    const u64 scale = (bits_as<u64>(shifted) - bits_as<u64>(kRoundMagic) + 1023) << 52;
    f64 p = 1.0 / 40320;
    p = p * f + 1.0 / 5040;
    p = p * f + 1.0 / 720;
    p = p * f + 1.0 / 120;
    p = p * f + 1.0 / 24;
    p = p * f + 1.0 / 6;
    p = p * f + 0.5;
    p = p * f + 1.0;
    p = p * f + 1.0;
    const f32 r = static_cast<f32>(p * bits_as<f64>(scale));
    return value == value ? r : bits_as<f32>(kNan32);
  }
};

// log2(x) = e + 2/ln 2 * atanh((m-1)/(m+1)) with m in [sqrt(1/2), sqrt(2)).
struct Lg2 {
  static f32 apply(f32 value) {
    const bool usable = value > 0 && value < __builtin_inff();
    const u64 bits = bits_as<u64>(static_cast<f64>(usable ? value : 1.0f));
    constexpr u64 kSqrtHalf = 0x3fe6a09e667f3bcdull;
    const u64 offset = bits - kSqrtHalf;
    const s64 exponent = static_cast<s64>(offset) >> 52;
    const f64 m = bits_as<f64>(bits - (static_cast<u64>(exponent) << 52));
    const f64 s = (m - 1.0) / (m + 1.0);
    const f64 s2 = s * s;
    f64 p = 1.0 / 13;
    p = p * s2 + 1.0 / 11;
    p = p * s2 + 1.0 / 9;
    p = p * s2 + 1.0 / 7;
    p = p * s2 + 1.0 / 5;
    p = p * s2 + 1.0 / 3;
    p = p * s2 + 1.0;
    const f64 e = bits_as<f64>(bits_as<u64>(kRoundMagic) + static_cast<u64>(exponent)) - kRoundMagic;
    const f32 r = static_cast<f32>(e + p * s * 2.88539008177792681472);
    const f32 special = value == 0 ? -__builtin_inff() : value > 0 ? value : bits_as<f32>(kNan32);
    return usable ? r : special;
  }
};

// Reduction by pi/2 in two parts keeps the argument exact to about 2^-70 * k.
struct Sincos {
  static f64 reduce(f64 x, u64& quadrant) {
    const f64 shifted = x * 0.636619772367581343076 + kRoundMagic;
    quadrant = bits_as<u64>(shifted);
    const f64 k = shifted - kRoundMagic;
    return (x - k * 1.57079632673412561417) - k * 6.07710050650619224932e-11;
  }
  static f64 sine(f64 r) {
    const f64 r2 = r * r;
    f64 p = -2.50521083854417187751e-8;
    p = p * r2 + 2.75573192239858906526e-6;
    p = p * r2 - 1.98412698412698412698e-4;
    p = p * r2 + 8.33333333333333333333e-3;
    p = p * r2 - 1.66666666666666666667e-1;
    return r + r * r2 * p;
  }
  static f64 cosine(f64 r) {
    const f64 r2 = r * r;
    f64 p = 2.08767569878680989792e-9;
    p = p * r2 - 2.75573192239858906526e-7;
    p = p * r2 + 2.48015873015873015873e-5;
    p = p * r2 - 1.38888888888888888889e-3;
    p = p * r2 + 4.16666666666666666667e-2;
    p = p * r2 - 0.5;
    return 1.0 + r2 * p;
  }
  // Phase 0 is the sine, 1 the cosine.
  static f32 at(f32 value, u64 phase) {
    const bool finite = (value < 0 ? -value : value) < __builtin_inff();
    const f32 bounded = finite ? value : 0.0f;
    u64 quadrant = 0;
    const f64 r = reduce(static_cast<f64>(bounded), quadrant);
    const u64 q = quadrant + phase;
    const f64 magnitude = (q & 1) != 0 ? cosine(r) : sine(r);
    const f32 result = static_cast<f32>((q & 2) != 0 ? -magnitude : magnitude);
    return finite ? (phase == 0 && value == 0 ? value : result) : bits_as<f32>(kNan32);
  }
};
struct Sin {
  static f32 apply(f32 a) { return Sincos::at(a, 0); }
};
struct Cos {
  static f32 apply(f32 a) { return Sincos::at(a, 1); }
};
struct Tanh {
  static f32 apply(f32 a) { return canonical(__builtin_tanhf(a)); }
};

template <class F>
struct Ftz {
  static f32 apply(f32 a) { return flush(F::apply(flush(a))); }
  static f32 apply(f32 a, f32 b) { return flush(F::apply(flush(a), flush(b))); }
};

}  // namespace

#define TESSERA_APPROX(name, F) \
  {name ".approx.f32", "Ff", &unary<F, f32, f32>}, { name ".approx.ftz.f32", "Ff", &unary<Ftz<F>, f32, f32> }

const Entry kFloatMathEntries[] = {
    {"div.approx.f32", "Fff", &binary<DivApprox, f32, f32, f32>},
    {"div.approx.ftz.f32", "Fff", &binary<Ftz<DivApprox>, f32, f32, f32>},
    {"div.full.f32", "Fff", &binary<DivApprox, f32, f32, f32>},
    {"div.full.ftz.f32", "Fff", &binary<Ftz<DivApprox>, f32, f32, f32>},
    TESSERA_APPROX("rcp", RcpApprox),
    TESSERA_APPROX("sqrt", SqrtApprox),
    TESSERA_APPROX("rsqrt", RsqrtApprox),
    TESSERA_APPROX("sin", Sin),
    TESSERA_APPROX("cos", Cos),
    TESSERA_APPROX("lg2", Lg2),
    TESSERA_APPROX("ex2", Ex2),
    {"tanh.approx.f32", "Ff", &unary_each<Tanh, f32, f32>},
    {"rcp.approx.ftz.f64", "Dd", &unary<RcpApprox64, f64, f64>},
    {"rsqrt.approx.f64", "Dd", &unary<RsqrtApprox64, f64, f64>},
    {"rsqrt.approx.ftz.f64", "Dd", &unary<RsqrtApproxFtz64, f64, f64>},
};
const size_t kFloatMathCount = sizeof(kFloatMathEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
