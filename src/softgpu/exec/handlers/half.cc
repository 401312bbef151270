// f16 and bf16, single and in pairs. Arithmetic in f32 then rounded once more is exact for +, -, * (24 bits
// are at least 2p + 2); fma needs the sum's lost bits, kept by rounding to odd.
#include "softgpu/exec/handlers/floats.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

struct Add {
  static f32 apply(f32 a, f32 b) { return a + b; }
};
struct Sub {
  static f32 apply(f32 a, f32 b) { return a - b; }
};
struct Mul {
  static f32 apply(f32 a, f32 b) { return a * b; }
};

// a*b is exact in double; the sum's rounding error tells whether it must be made odd.
inline f32 fused_odd(f32 a, f32 b, f32 c) {
  const f64 product = static_cast<f64>(a) * static_cast<f64>(b);
  const f64 addend = static_cast<f64>(c);
  const f64 sum = product + addend;
  const f64 other = sum - product;
  const f64 error = (product - (sum - other)) + (addend - other);
  const u64 bits = bits_as<u64>(sum);
  const bool finite = (bits & 0x7ff0000000000000ull) != 0x7ff0000000000000ull;
  const bool inexact = finite && error != 0 && (bits & 1) == 0;
  // Towards zero first where the error points there, then odd.
  const bool towards_zero = (error < 0) != (sum < 0);
  const u64 odd = towards_zero ? bits - 1 : bits | 1;
  return to_float_odd(bits_as<f64>(inexact ? odd : bits));
}

template <class H>
u16 flush_half(u16 h) {
  return (h & 0x7fff) < H::kSubnormalLimit ? static_cast<u16>(h & 0x8000) : h;
}

template <class H>
u16 finish(f32 r, u32 flags) {
  if ((flags & kSaturate) != 0) r = saturate(r);
  if ((flags & kRelu) != 0) r = r != r ? r : r > 0 ? r : 0.0f;
  const u16 h = H::store(r);
  return (flags & kFlush) != 0 ? flush_half<H>(h) : h;
}
template <class H>
f32 begin(u16 h, u32 flags) {
  return H::load((flags & kFlush) != 0 ? flush_half<H>(h) : h);
}

// PerLane is 1 for a 16-bit register, 2 for a pair in a 32-bit one.
template <class H, class F, u32 PerLane>
const Op* arithmetic(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u16* d = slot<u16>(frame, op->o[0]);
  const u16* a = slot<u16>(frame, op->o[1]);
  const u16* b = slot<u16>(frame, op->o[2]);
  const u32 flags = op->aux & (kFlush | kSaturate | kRelu);
  if (mask == kAllLanes && flags == 0) {
    TESSERA_INDEPENDENT
    for (u32 i = 0; i < kWarpSize * PerLane; ++i) d[i] = H::store(F::apply(H::load(a[i]), H::load(b[i])));
    return op + 1;
  }
  for (u32 i = 0; i < kWarpSize * PerLane; ++i) {
    if (!lane_on(mask, i / PerLane)) continue;
    d[i] = finish<H>(F::apply(begin<H>(a[i], flags), begin<H>(b[i], flags)), flags);
  }
  return op + 1;
}
template <class H, u32 PerLane>
const Op* fma_half(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u16* d = slot<u16>(frame, op->o[0]);
  const u16* a = slot<u16>(frame, op->o[1]);
  const u16* b = slot<u16>(frame, op->o[2]);
  const u16* c = slot<u16>(frame, op->o[3]);
  const u32 flags = op->aux & (kFlush | kSaturate | kRelu);
  for (u32 i = 0; i < kWarpSize * PerLane; ++i) {
    if (!lane_on(mask, i / PerLane)) continue;
    d[i] = finish<H>(fused_odd(begin<H>(a[i], flags), begin<H>(b[i], flags), begin<H>(c[i], flags)), flags);
  }
  return op + 1;
}

inline bool is_nan(f32 x) { return x != x; }
template <class H>
u16 minmax(u16 x, u16 y, u32 flags) {
  const f32 a = begin<H>(x, flags);
  const f32 b = begin<H>(y, flags);
  const u16 sign = static_cast<u16>((x ^ y) & 0x8000);
  if (is_nan(a) && is_nan(b)) return kNan16;
  if (is_nan(a) || is_nan(b)) {
    if ((flags & kKeepNan) != 0) return kNan16;
    const u16 kept = H::store(is_nan(a) ? b : a);
    return (flags & kXorSign) != 0 ? static_cast<u16>((kept & 0x7fff) | sign) : kept;
  }
  const f32 p = (flags & kXorSign) != 0 && a < 0 ? -a : a;
  const f32 q = (flags & kXorSign) != 0 && b < 0 ? -b : b;
  const bool minimum = (flags & kFloatOperationMask) == kFloatMin;
  const u16 hp = H::store(p), hq = H::store(q);
  u16 r = p == q ? static_cast<u16>(minimum ? hp | hq : hp & hq) : (p < q) == minimum ? hp : hq;
  if ((flags & kXorSign) != 0) r = static_cast<u16>((r & 0x7fff) | sign);
  return r;
}
template <class H, u32 PerLane>
const Op* minmax_half(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u16* d = slot<u16>(frame, op->o[0]);
  const u16* a = slot<u16>(frame, op->o[1]);
  const u16* b = slot<u16>(frame, op->o[2]);
  for (u32 i = 0; i < kWarpSize * PerLane; ++i) {
    if (lane_on(mask, i / PerLane)) d[i] = minmax<H>(a[i], b[i], op->aux);
  }
  return op + 1;
}
template <class H, u32 PerLane>
const Op* unary_half(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u16* d = slot<u16>(frame, op->o[0]);
  const u16* a = slot<u16>(frame, op->o[1]);
  const u32 flags = op->aux;
  const u32 operation = flags & kFloatOperationMask;
  for (u32 i = 0; i < kWarpSize * PerLane; ++i) {
    if (!lane_on(mask, i / PerLane)) continue;
    const u16 x = (flags & kFlush) != 0 ? flush_half<H>(a[i]) : a[i];
    switch (operation) {
      case kFloatNeg:
        d[i] = static_cast<u16>(x ^ 0x8000);
        break;
      case kFloatAbs:
        d[i] = static_cast<u16>(x & 0x7fff);
        break;
      case kFloatTanh:
        d[i] = finish<H>(__builtin_tanhf(H::load(x)), flags);
        break;
      default:
        d[i] = finish<H>(__builtin_exp2f(H::load(x)), flags);
        break;
    }
  }
  return op + 1;
}

}  // namespace

// Flags in Op::aux.
#define TESSERA_HALF(type, H, n, D, s)                                                                  \
  {"half.add." type, D s s, &arithmetic<H, Add, n>}, {"half.sub." type, D s s, &arithmetic<H, Sub, n>}, \
      {"half.mul." type, D s s, &arithmetic<H, Mul, n>}, {"half.fma." type, D s s s, &fma_half<H, n>},  \
      {"half.minmax." type, D s s, &minmax_half<H, n>}, {                                               \
    "half.unary." type, D s, &unary_half<H, n>                                                          \
  }

const Entry kHalfEntries[] = {
    TESSERA_HALF("f16", F16, 1, "H", "h"),
    TESSERA_HALF("f16x2", F16, 2, "W", "w"),
    TESSERA_HALF("bf16", BF16, 1, "H", "h"),
    TESSERA_HALF("bf16x2", BF16, 2, "W", "w"),
};
const size_t kHalfCount = sizeof(kHalfEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
