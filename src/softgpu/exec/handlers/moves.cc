// Moves: selection, predicates, packing, widening, parts of registers.
#include "softgpu/exec/handlers/lanes.h"
#include "softgpu/exec/handlers/tables.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace {

struct Move {
  template <class T>
  static T apply(T a) {
    return a;
  }
};

template <class T>
const Op* selp(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  const T* a = slot<T>(frame, op->o[1]);
  const T* b = slot<T>(frame, op->o[2]);
  alignas(64) T chosen[kWarpSize];
  TESSERA_LANES chosen[i] = b[i];
  commit(chosen, a, predicate(frame, op->o[3]));
  commit(slot<T>(frame, op->o[0]), chosen, mask);
  return op + 1;
}
struct SlctInteger {
  template <class T>
  static T apply(T a, T b, s32 c) {
    return c >= 0 ? a : b;
  }
};
// NaN counts as negative; -0 as non-negative.
struct SlctFloat {
  template <class T>
  static T apply(T a, T b, f32 c) {
    return c >= 0 ? a : b;
  }
};

// Predicates are lane masks.
struct PredAnd {
  static u32 apply(u32 a, u32 b) { return a & b; }
};
struct PredOr {
  static u32 apply(u32 a, u32 b) { return a | b; }
};
struct PredXor {
  static u32 apply(u32 a, u32 b) { return a ^ b; }
};
template <class F>
const Op* predicate_binary(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  write_predicate(frame, op->o[0], mask, F::apply(predicate(frame, op->o[1]), predicate(frame, op->o[2])));
  return op + 1;
}
const Op* predicate_move(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  write_predicate(frame, op->o[0], mask, predicate(frame, op->o[1]));
  return op + 1;
}
const Op* predicate_not(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  write_predicate(frame, op->o[0], mask, ~predicate(frame, op->o[1]));
  return op + 1;
}

struct Pack32 {
  static u64 apply(u32 a, u32 b) { return (u64{b} << 32) | a; }
};
struct Pack16 {
  static u32 apply(u16 a, u16 b) { return (u32{b} << 16) | a; }
};
struct Pack8 {
  static u16 apply(u16 a, u16 b) { return static_cast<u16>(((b & 0xff) << 8) | (a & 0xff)); }
};
const Op* pack4x16(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u64* d = slot<u64>(frame, op->o[0]);
  TESSERA_ACTIVE(mask) {
    u64 value = 0;
    for (u32 k = 0; k < 4; ++k) value |= u64{slot<u16>(frame, op->o[k + 1])[i]} << (16 * k);
    d[i] = value;
  }
  return op + 1;
}
const Op* pack4x8(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  u32* d = slot<u32>(frame, op->o[0]);
  TESSERA_ACTIVE(mask) {
    u32 value = 0;
    for (u32 k = 0; k < 4; ++k) value |= (u32{slot<u16>(frame, op->o[k + 1])[i]} & 0xff) << (8 * k);
    d[i] = value;
  }
  return op + 1;
}
// Part `Part` of a wider register, also used for reading a register narrower than it is.
template <u32 Part, class Mask>
struct Extract {
  template <class T>
  static Mask apply(T a) {
    return static_cast<Mask>(a >> (Part * sizeof(Mask) * 8));
  }
};
template <class To, class From, u32 Part>
constexpr Handler extract = &unary<Extract<Part, To>, To, From>;
template <u32 Part>
struct Byte {
  template <class T>
  static u16 apply(T a) {
    return static_cast<u16>((a >> (Part * 8)) & 0xff);
  }
};

template <class F, class T>
constexpr Handler one = &unary<F, T, T>;

}  // namespace

const Entry kMovesEntries[] = {
    {"mov.b16", "Hh", one<Move, u16>},
    {"mov.b32", "Ww", one<Move, u32>},
    {"mov.b64", "Qq", one<Move, u64>},
    {"mov.f32", "Ff", one<Move, u32>},
    {"mov.f64", "Dd", one<Move, u64>},
    {"and.pred", "Ppp", &predicate_binary<PredAnd>},
    {"or.pred", "Ppp", &predicate_binary<PredOr>},
    {"xor.pred", "Ppp", &predicate_binary<PredXor>},
    {"not.pred", "Pp", &predicate_not},
    {"mov.pred", "Pp", &predicate_move},
    {"selp.b16", "Hhhp", &selp<u16>},
    {"selp.b32", "Wwwp", &selp<u32>},
    {"selp.b64", "Qqqp", &selp<u64>},
    {"selp.f32", "Fffp", &selp<u32>},
    {"selp.f64", "Dddp", &selp<u64>},
    {"slct.b16.s32", "Hhhw", &ternary<SlctInteger, u16, u16, u16, s32>},
    {"slct.b32.s32", "Wwww", &ternary<SlctInteger, u32, u32, u32, s32>},
    {"slct.b64.s32", "Qqqw", &ternary<SlctInteger, u64, u64, u64, s32>},
    {"slct.b16.f32", "Hhhf", &ternary<SlctFloat, u16, u16, u16, f32>},
    {"slct.b32.f32", "Wwwf", &ternary<SlctFloat, u32, u32, u32, f32>},
    {"slct.b64.f32", "Qqqf", &ternary<SlctFloat, u64, u64, u64, f32>},
    // Not PTX names: mov with vector operands, and registers read or written in another width than theirs.
    {"pack.2x8", "Hhh", &binary<Pack8, u16, u16, u16>},
    {"pack.2x16", "Whh", &binary<Pack16, u32, u16, u16>},
    {"pack.2x32", "Qww", &binary<Pack32, u64, u32, u32>},
    {"pack.4x16", "Qhhhh", &pack4x16},
    {"pack.4x8", "Whhhh", &pack4x8},
    {"part.16of32.0", "Hw", extract<u16, u32, 0>},
    {"part.16of32.1", "Hw", extract<u16, u32, 1>},
    {"part.16of64.0", "Hq", extract<u16, u64, 0>},
    {"part.16of64.1", "Hq", extract<u16, u64, 1>},
    {"part.16of64.2", "Hq", extract<u16, u64, 2>},
    {"part.16of64.3", "Hq", extract<u16, u64, 3>},
    {"part.32of64.0", "Wq", extract<u32, u64, 0>},
    {"part.32of64.1", "Wq", extract<u32, u64, 1>},
    {"part.8of16.0", "Hh", &unary<Byte<0>, u16, u16>},
    {"part.8of16.1", "Hh", &unary<Byte<1>, u16, u16>},
    {"part.8of32.0", "Hw", &unary<Byte<0>, u16, u32>},
    {"part.8of32.1", "Hw", &unary<Byte<1>, u16, u32>},
    {"part.8of32.2", "Hw", &unary<Byte<2>, u16, u32>},
    {"part.8of32.3", "Hw", &unary<Byte<3>, u16, u32>},
    {"widen.u16.32", "Wh", &unary<Move, u32, u16>},
    {"widen.s16.32", "Wh", &unary<Move, s32, s16>},
    {"widen.u16.64", "Qh", &unary<Move, u64, u16>},
    {"widen.s16.64", "Qh", &unary<Move, s64, s16>},
    {"widen.u32.64", "Qw", &unary<Move, u64, u32>},
    {"widen.s32.64", "Qw", &unary<Move, s64, s32>},
};
const size_t kMovesCount = sizeof(kMovesEntries) / sizeof(Entry);

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
