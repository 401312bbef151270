// Bits: logic, shifts, bit fields, byte permutes, dot products.
#include "softgpu/exec/handlers/lanes.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

struct And {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct Not {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(~a);
  }
};
struct Cnot {
  template <class T>
  static T apply(T a) {
    return static_cast<T>(a == 0 ? 1 : 0);
  }
};

// Shifts by the width or more give 0 (or the sign), as PTX clamps the amount.
struct Shl {
  template <class T>
  static T apply(T a, u32 b) {
    constexpr u32 bits = sizeof(T) * 8;
    return b >= bits ? T{0} : static_cast<T>(a << (b & (bits - 1)));
  }
};
struct Shr {
  template <class T>
  static T apply(T a, u32 b) {
    constexpr u32 bits = sizeof(T) * 8;
    const u32 amount = b >= bits ? bits - 1 : b;
    const T shifted = static_cast<T>(a >> amount);
    return static_cast<T>(-1) < T{0} || b < bits ? shifted : T{0};
  }
};

struct Popc {
  static u32 apply(u32 a) { return static_cast<u32>(__builtin_popcount(a)); }
  static u32 apply(u64 a) { return static_cast<u32>(__builtin_popcountll(a)); }
};
struct Clz {
  static u32 apply(u32 a) { return a == 0 ? 32 : static_cast<u32>(__builtin_clz(a)); }
  static u32 apply(u64 a) { return a == 0 ? 64 : static_cast<u32>(__builtin_clzll(a)); }
};
// Position of the highest bit that differs from the sign; -1 where there is none. With shiftamt: how far to
// shift it to the top.
template <bool ShiftAmount>
struct Bfind {
  template <class T>
  static u32 find(T a) {
    if (a == 0) return ~u32{0};
    const u32 leading = Clz::apply(a);
    return ShiftAmount ? leading : static_cast<u32>(sizeof(T) * 8 - 1) - leading;
  }
  static u32 apply(u32 a) { return find(a); }
  static u32 apply(u64 a) { return find(a); }
  static u32 apply(s32 a) { return find(static_cast<u32>(a < 0 ? ~a : a)); }
  static u32 apply(s64 a) { return find(static_cast<u64>(a < 0 ? ~a : a)); }
};
struct Brev {
  static u32 apply(u32 a) {
    a = ((a >> 1) & 0x55555555u) | ((a & 0x55555555u) << 1);
    a = ((a >> 2) & 0x33333333u) | ((a & 0x33333333u) << 2);
    a = ((a >> 4) & 0x0f0f0f0fu) | ((a & 0x0f0f0f0fu) << 4);
    return __builtin_bswap32(a);
  }
  static u64 apply(u64 a) {
    return (u64{apply(static_cast<u32>(a))} << 32) | apply(static_cast<u32>(a >> 32));
  }
};
template <class T>
struct Bfe {
  static T apply(T a, u32 position, u32 length) {
    constexpr u32 bits = sizeof(T) * 8;
    constexpr bool is_signed = static_cast<T>(-1) < T{0};
    const u32 pos = position & 0xff;
    const u32 len = length & 0xff;
    if (len == 0) return 0;
    const u32 sign_bit = pos + len - 1 < bits - 1 ? pos + len - 1 : bits - 1;
    const bool fill = is_signed && ((static_cast<u64>(a) >> sign_bit) & 1) != 0;
    u64 field = pos < bits ? static_cast<u64>(a) : 0;
    if (bits == 32) field &= 0xffffffffu;
    field = pos < 64 ? field >> pos : 0;
    const u32 present = pos < bits ? (len < bits - pos ? len : bits - pos) : 0;
    const u64 keep = present >= 64 ? ~u64{0} : (u64{1} << present) - 1;
    field &= keep;
    return static_cast<T>(fill ? field | ~keep : field);
  }
};
template <class T>
struct Bfi {
  static const Op* run(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
    T* d = slot<T>(frame, op->o[0]);
    const T* a = slot<T>(frame, op->o[1]);
    const T* b = slot<T>(frame, op->o[2]);
    const u32* position = slot<u32>(frame, op->o[3]);
    const u32* length = slot<u32>(frame, op->o[4]);
    constexpr u32 bits = sizeof(T) * 8;
    TESSERA_ACTIVE(mask) {
      const u32 pos = position[i] & 0xff;
      const u32 len = length[i] & 0xff;
      if (len == 0 || pos >= bits) {
        d[i] = b[i];
      } else {
        const T field = len >= bits ? static_cast<T>(-1) : static_cast<T>((T{1} << len) - 1);
        d[i] = static_cast<T>((b[i] & ~(field << pos)) | ((a[i] & field) << pos));
      }
    }
    return op + 1;
  }
};
// Find the n-th set bit from `base`, upwards for positive offsets and downwards for negative ones.
struct Fns {
  static u32 apply(u32 mask, u32 base, s32 offset) {
    if (offset == 0) return base < 32 && ((mask >> base) & 1) != 0 ? base : ~u32{0};
    const s64 step = offset > 0 ? 1 : -1;
    s64 left = offset > 0 ? s64{offset} : -s64{offset};
    for (s64 position = base; position >= 0 && position < 32; position += step) {
      if (((mask >> position) & 1) != 0 && --left == 0) return static_cast<u32>(position);
    }
    return ~u32{0};
  }
};
template <bool Signed, bool Clamp>
struct Szext {
  static u32 apply(u32 a, u32 b) {
    const u32 width = Clamp ? (b > 32 ? 32 : b) : b & 31;
    if (width == 0) return 0;
    if (width >= 32) return a;
    const u32 kept = a & ((1u << width) - 1);
    return Signed && ((kept >> (width - 1)) & 1) != 0 ? kept | ~((1u << width) - 1) : kept;
  }
};
template <bool Clamp>
struct Bmsk {
  static u32 apply(u32 position, u32 width) {
    const u32 pos = Clamp ? (position > 32 ? 32 : position) : position & 31;
    const u32 len = Clamp ? (width > 32 ? 32 : width) : width & 31;
    const u64 mask = ((u64{1} << len) - 1) << pos;
    return static_cast<u32>(mask);
  }
};

// The look-up table is the immediate: bit (a<<2 | b<<1 | c) of it for each bit position.
const Op* lop3(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u32* d = slot<u32>(frame, op->o[0]);
  const u32* a = slot<u32>(frame, op->o[1]);
  const u32* b = slot<u32>(frame, op->o[2]);
  const u32* c = slot<u32>(frame, op->o[3]);
  u32 term[8];
  for (u32 k = 0; k < 8; ++k) term[k] = ((static_cast<u32>(op->imm) >> k) & 1) != 0 ? ~u32{0} : 0;
  alignas(64) u32 result[kWarpSize];
  TESSERA_LANES {
    const u32 x = a[i], y = b[i], z = c[i];
    const u32 t0 = (z & term[1]) | (~z & term[0]);
    const u32 t1 = (z & term[3]) | (~z & term[2]);
    const u32 t2 = (z & term[5]) | (~z & term[4]);
    const u32 t3 = (z & term[7]) | (~z & term[6]);
    const u32 low = (y & t1) | (~y & t0);
    const u32 high = (y & t3) | (~y & t2);
    result[i] = (x & high) | (~x & low);
  }
  commit(d, result, mask);
  return op + 1;
}
struct Xor3 {
  static u32 apply(u32 a, u32 b, u32 c) { return a ^ b ^ c; }
};
struct AndOr {
  static u32 apply(u32 a, u32 b, u32 c) { return (a & b) | c; }
};
struct AndAnd {
  static u32 apply(u32 a, u32 b, u32 c) { return a & b & c; }
};
struct OrOr {
  static u32 apply(u32 a, u32 b, u32 c) { return a | b | c; }
};
struct Choose {
  static u32 apply(u32 a, u32 b, u32 c) { return (a & b) | (~a & c); }
};
struct Majority {
  static u32 apply(u32 a, u32 b, u32 c) { return (a & b) | (a & c) | (b & c); }
};

struct ShfLeftWrap {
  static u32 apply(u32 a, u32 b, u32 c) { return static_cast<u32>((((u64{b} << 32) | a) << (c & 31)) >> 32); }
};
struct ShfRightWrap {
  static u32 apply(u32 a, u32 b, u32 c) { return static_cast<u32>(((u64{b} << 32) | a) >> (c & 31)); }
};
struct ShfLeftClamp {
  static u32 apply(u32 a, u32 b, u32 c) {
    const u32 n = c > 32 ? 32 : c;
    return static_cast<u32>((((u64{b} << 32) | a) << n) >> 32);
  }
};
struct ShfRightClamp {
  static u32 apply(u32 a, u32 b, u32 c) {
    const u32 n = c > 32 ? 32 : c;
    return static_cast<u32>(((u64{b} << 32) | a) >> n);
  }
};

inline u32 permute(u32 a, u32 b, u32 selector) {
  const u64 bytes = (u64{b} << 32) | a;
  u32 result = 0;
  for (u32 k = 0; k < 4; ++k) {
    const u32 pick = (selector >> (4 * k)) & 0xf;
    u32 byte = static_cast<u32>(bytes >> (8 * (pick & 7))) & 0xff;
    if ((pick & 8) != 0) byte = (byte & 0x80) != 0 ? 0xff : 0;
    result |= byte << (8 * k);
  }
  return result;
}
struct Prmt {
  static u32 apply(u32 a, u32 b, u32 c) { return permute(a, b, c); }
};
// The special modes turn the low two bits of c into a selector.
template <const u16* Selectors>
struct PrmtMode {
  static u32 apply(u32 a, u32 b, u32 c) { return permute(a, b, Selectors[c & 3]); }
};
constexpr u16 kF4e[4] = {0x3210, 0x4321, 0x5432, 0x6543};
constexpr u16 kB4e[4] = {0x5670, 0x6701, 0x7012, 0x0123};
constexpr u16 kRc8[4] = {0x0000, 0x1111, 0x2222, 0x3333};
constexpr u16 kEcl[4] = {0x3210, 0x3211, 0x3222, 0x3333};
constexpr u16 kEcr[4] = {0x0000, 0x1110, 0x2210, 0x3210};
constexpr u16 kRc16[4] = {0x1010, 0x3232, 0x1010, 0x3232};

template <class A, class B>
struct Dp4a {
  static u32 apply(u32 a, u32 b, u32 c) {
    for (u32 k = 0; k < 32; k += 8) {
      c += static_cast<u32>(s32{static_cast<A>(a >> k)} * s32{static_cast<B>(b >> k)});
    }
    return c;
  }
};
template <class A, class B, u32 High>
struct Dp2a {
  static u32 apply(u32 a, u32 b, u32 c) {
    for (u32 k = 0; k < 2; ++k) {
      c += static_cast<u32>(s64{static_cast<A>(a >> (16 * k))} *
                            s64{static_cast<B>(b >> (16 * High + 8 * k))});
    }
    return c;
  }
};

template <class F, class T>
constexpr Handler one = &unary<F, T, T>;
template <class F, class T>
constexpr Handler two = &binary<F, T, T, T>;
template <class F>
constexpr Handler three = &ternary<F, u32, u32, u32, u32>;

}  // namespace

const Entry kBitsEntries[] = {
    {"and.b16", "Hhh", two<And, u16>},
    {"and.b32", "Www", two<And, u32>},
    {"and.b64", "Qqq", two<And, u64>},
    {"or.b16", "Hhh", two<Or, u16>},
    {"or.b32", "Www", two<Or, u32>},
    {"or.b64", "Qqq", two<Or, u64>},
    {"xor.b16", "Hhh", two<Xor, u16>},
    {"xor.b32", "Www", two<Xor, u32>},
    {"xor.b64", "Qqq", two<Xor, u64>},
    {"not.b16", "Hh", one<Not, u16>},
    {"not.b32", "Ww", one<Not, u32>},
    {"not.b64", "Qq", one<Not, u64>},
    {"cnot.b16", "Hh", one<Cnot, u16>},
    {"cnot.b32", "Ww", one<Cnot, u32>},
    {"cnot.b64", "Qq", one<Cnot, u64>},
    {"shl.b16", "Hhw", &binary<Shl, u16, u16, u32>},
    {"shl.b32", "Www", two<Shl, u32>},
    {"shl.b64", "Qqw", &binary<Shl, u64, u64, u32>},
    {"shr.b16", "Hhw", &binary<Shr, u16, u16, u32>},
    {"shr.b32", "Www", two<Shr, u32>},
    {"shr.b64", "Qqw", &binary<Shr, u64, u64, u32>},
    {"shr.s16", "Hhw", &binary<Shr, s16, s16, u32>},
    {"shr.s32", "Www", &binary<Shr, s32, s32, u32>},
    {"shr.s64", "Qqw", &binary<Shr, s64, s64, u32>},
    {"popc.b32", "Ww", one<Popc, u32>},
    {"popc.b64", "Wq", &unary<Popc, u32, u64>},
    {"clz.b32", "Ww", one<Clz, u32>},
    {"clz.b64", "Wq", &unary<Clz, u32, u64>},
    {"brev.b32", "Ww", one<Brev, u32>},
    {"brev.b64", "Qq", one<Brev, u64>},
    {"bfind.u32", "Ww", &unary<Bfind<false>, u32, u32>},
    {"bfind.s32", "Ww", &unary<Bfind<false>, u32, s32>},
    {"bfind.u64", "Wq", &unary<Bfind<false>, u32, u64>},
    {"bfind.s64", "Wq", &unary<Bfind<false>, u32, s64>},
    {"bfind.shiftamt.u32", "Ww", &unary<Bfind<true>, u32, u32>},
    {"bfind.shiftamt.s32", "Ww", &unary<Bfind<true>, u32, s32>},
    {"bfind.shiftamt.u64", "Wq", &unary<Bfind<true>, u32, u64>},
    {"bfind.shiftamt.s64", "Wq", &unary<Bfind<true>, u32, s64>},
    {"bfe.u32", "Wwww", &ternary<Bfe<u32>, u32, u32, u32, u32>},
    {"bfe.s32", "Wwww", &ternary<Bfe<s32>, s32, s32, u32, u32>},
    {"bfe.u64", "Qqww", &ternary_each<Bfe<u64>, u64, u64, u32, u32>},
    {"bfe.s64", "Qqww", &ternary_each<Bfe<s64>, s64, s64, u32, u32>},
    {"bfi.b32", "Wwwww", &Bfi<u32>::run},
    {"bfi.b64", "Qqqww", &Bfi<u64>::run},
    {"fns.b32", "Wwww", &ternary_each<Fns, u32, u32, u32, s32>},
    {"szext.wrap.u32", "Www", two<Szext<false, false>, u32>},
    {"szext.wrap.s32", "Www", two<Szext<true, false>, u32>},
    {"szext.clamp.u32", "Www", two<Szext<false, true>, u32>},
    {"szext.clamp.s32", "Www", two<Szext<true, true>, u32>},
    {"bmsk.wrap.b32", "Www", two<Bmsk<false>, u32>},
    {"bmsk.clamp.b32", "Www", two<Bmsk<true>, u32>},
    {"lop3.b32", "Wwwwi", &lop3},
    {"lop3.xor3", "Wwwwi", three<Xor3>},
    {"lop3.andor", "Wwwwi", three<AndOr>},
    {"lop3.and3", "Wwwwi", three<AndAnd>},
    {"lop3.or3", "Wwwwi", three<OrOr>},
    {"lop3.choose", "Wwwwi", three<Choose>},
    {"lop3.majority", "Wwwwi", three<Majority>},
    {"shf.l.wrap.b32", "Wwww", three<ShfLeftWrap>},
    {"shf.r.wrap.b32", "Wwww", three<ShfRightWrap>},
    {"shf.l.clamp.b32", "Wwww", three<ShfLeftClamp>},
    {"shf.r.clamp.b32", "Wwww", three<ShfRightClamp>},
    {"prmt.b32", "Wwww", three<Prmt>},
    {"prmt.b32.f4e", "Wwww", three<PrmtMode<kF4e>>},
    {"prmt.b32.b4e", "Wwww", three<PrmtMode<kB4e>>},
    {"prmt.b32.rc8", "Wwww", three<PrmtMode<kRc8>>},
    {"prmt.b32.ecl", "Wwww", three<PrmtMode<kEcl>>},
    {"prmt.b32.ecr", "Wwww", three<PrmtMode<kEcr>>},
    {"prmt.b32.rc16", "Wwww", three<PrmtMode<kRc16>>},
    {"dp4a.u32.u32", "Wwww", three<Dp4a<u8, u8>>},
    {"dp4a.u32.s32", "Wwww", three<Dp4a<u8, s8>>},
    {"dp4a.s32.u32", "Wwww", three<Dp4a<s8, u8>>},
    {"dp4a.s32.s32", "Wwww", three<Dp4a<s8, s8>>},
    {"dp2a.lo.u32.u32", "Wwww", three<Dp2a<u16, u8, 0>>},
    {"dp2a.lo.u32.s32", "Wwww", three<Dp2a<u16, s8, 0>>},
    {"dp2a.lo.s32.u32", "Wwww", three<Dp2a<s16, u8, 0>>},
    {"dp2a.lo.s32.s32", "Wwww", three<Dp2a<s16, s8, 0>>},
    {"dp2a.hi.u32.u32", "Wwww", three<Dp2a<u16, u8, 1>>},
    {"dp2a.hi.u32.s32", "Wwww", three<Dp2a<u16, s8, 1>>},
    {"dp2a.hi.s32.u32", "Wwww", three<Dp2a<s16, u8, 1>>},
    {"dp2a.hi.s32.s32", "Wwww", three<Dp2a<s16, s8, 1>>},
};
const size_t kBitsCount = sizeof(kBitsEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
