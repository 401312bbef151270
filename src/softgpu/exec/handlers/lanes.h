// Loops over the lanes of a warp, for the compiler to vectorise.
//
// Handler files are compiled once per instruction set, each time in a namespace of its own (TESSERA_ISA).
// Nothing in them may call an inline function or template from outside that namespace: the linker keeps one
// copy of those, and it could be the one that needs AVX-512. Hence compiler builtins instead of std:: here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "softgpu/exec/op.h"
#include "softgpu/exec/warp.h"

#ifndef TESSERA_ISA
#error "compile through handlers.cmake, which names the instruction set"
#endif

// Registers may be read and written in place (the same lane of the same slot), never with a shift: no
// dependence between lanes.
#if defined(__clang__)
#define TESSERA_LANES _Pragma("clang loop vectorize(assume_safety)") for (uint32_t i = 0; i < kWarpSize; ++i)
#else
#define TESSERA_LANES _Pragma("GCC ivdep") for (uint32_t i = 0; i < kWarpSize; ++i)
#endif
#define TESSERA_ACTIVE(mask)                                                  \
  for (uint32_t lanes_left = (mask), i = lowest(lanes_left); lanes_left != 0; \
       lanes_left &= lanes_left - 1, i = lowest(lanes_left))

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;
using f32 = float;
using f64 = double;
__extension__ typedef __int128 s128;
__extension__ typedef unsigned __int128 u128;

inline uint32_t lowest(uint32_t mask) { return mask == 0 ? 0 : static_cast<uint32_t>(__builtin_ctz(mask)); }

template <class T>
inline T* slot(std::byte* frame, uint32_t offset) {
  return static_cast<T*>(__builtin_assume_aligned(frame + offset, 64));
}
inline uint32_t& predicate(std::byte* frame, uint32_t offset) {
  return *reinterpret_cast<uint32_t*>(frame + offset);
}
inline void write_predicate(std::byte* frame, uint32_t offset, uint32_t mask, uint32_t bits) {
  uint32_t& p = predicate(frame, offset);
  p = (p & ~mask) | (bits & mask);
}
inline bool lane_on(uint32_t mask, uint32_t lane) { return (mask & (1u << lane)) != 0; }

template <class To, class From>
inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, from);
}

// Elementwise handlers. F::apply computes one lane without branches that would stop vectorisation; lanes that
// are off keep their value.
template <class F, class D, class A>
const Op* unary(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  D* d = slot<D>(frame, op->o[0]);
  const A* a = slot<A>(frame, op->o[1]);
  if (mask == kAllLanes) {
    TESSERA_LANES d[i] = static_cast<D>(F::apply(a[i]));
  } else {
    TESSERA_LANES d[i] = lane_on(mask, i) ? static_cast<D>(F::apply(a[i])) : d[i];
  }
  return op + 1;
}

template <class F, class D, class A, class B>
const Op* binary(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  D* d = slot<D>(frame, op->o[0]);
  const A* a = slot<A>(frame, op->o[1]);
  const B* b = slot<B>(frame, op->o[2]);
  if (mask == kAllLanes) {
    TESSERA_LANES d[i] = static_cast<D>(F::apply(a[i], b[i]));
  } else {
    TESSERA_LANES d[i] = lane_on(mask, i) ? static_cast<D>(F::apply(a[i], b[i])) : d[i];
  }
  return op + 1;
}

template <class F, class D, class A, class B, class C>
const Op* ternary(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  D* d = slot<D>(frame, op->o[0]);
  const A* a = slot<A>(frame, op->o[1]);
  const B* b = slot<B>(frame, op->o[2]);
  const C* c = slot<C>(frame, op->o[3]);
  if (mask == kAllLanes) {
    TESSERA_LANES d[i] = static_cast<D>(F::apply(a[i], b[i], c[i]));
  } else {
    TESSERA_LANES d[i] = lane_on(mask, i) ? static_cast<D>(F::apply(a[i], b[i], c[i])) : d[i];
  }
  return op + 1;
}

// The same where one lane costs more than dispatch: active lanes one by one.
template <class F, class D, class A>
const Op* unary_each(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  D* d = slot<D>(frame, op->o[0]);
  const A* a = slot<A>(frame, op->o[1]);
  TESSERA_ACTIVE(mask) d[i] = static_cast<D>(F::apply(a[i]));
  return op + 1;
}
template <class F, class D, class A, class B>
const Op* binary_each(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  D* d = slot<D>(frame, op->o[0]);
  const A* a = slot<A>(frame, op->o[1]);
  const B* b = slot<B>(frame, op->o[2]);
  TESSERA_ACTIVE(mask) d[i] = static_cast<D>(F::apply(a[i], b[i]));
  return op + 1;
}
template <class F, class D, class A, class B, class C>
const Op* ternary_each(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  D* d = slot<D>(frame, op->o[0]);
  const A* a = slot<A>(frame, op->o[1]);
  const B* b = slot<B>(frame, op->o[2]);
  const C* c = slot<C>(frame, op->o[3]);
  TESSERA_ACTIVE(mask) d[i] = static_cast<D>(F::apply(a[i], b[i], c[i]));
  return op + 1;
}

}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
