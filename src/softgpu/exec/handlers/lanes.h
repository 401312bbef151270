// Loops over the lanes of a warp, for the compiler to vectorise.
//
// Handler files are compiled once per instruction set, each time in a namespace of its own (TESSERA_ISA).
// Nothing in them may call an inline function or template from outside that namespace: the linker keeps one
// copy of those, and it could be the one that needs AVX-512. Hence compiler builtins instead of std:: here.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

#include "softgpu/exec/op.h"
#include "softgpu/exec/warp.h"

#ifndef TESSERA_ISA
#error "compile through handlers.cmake, which names the instruction set"
#endif

// Registers may be read and written in place (the same lane of the same slot), never with a shift: no
// dependence between lanes.
#if defined(__clang__)
#define TESSERA_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TESSERA_INDEPENDENT _Pragma("GCC ivdep")
#endif
#define TESSERA_LANES TESSERA_INDEPENDENT for (uint32_t i = 0; i < kWarpSize; ++i)
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
// All ones where the lane is on: selects by logic, which always vectorises.
template <class U>
inline U lane_bits(uint32_t mask, uint32_t lane) {
  return static_cast<U>(U{0} - static_cast<U>((mask >> lane) & 1));
}

template <class To, class From>
inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, from);
}

template <uint32_t Bytes>
struct UnsignedOf;
template <>
struct UnsignedOf<2> {
  using Type = u16;
};
template <>
struct UnsignedOf<4> {
  using Type = u32;
};
template <>
struct UnsignedOf<8> {
  using Type = u64;
};

// Writes the lanes of `mask`. Whole vectors are loaded, blended and stored: what a masked store leaves behind
// cannot be forwarded to the next instruction's load.
template <class D>
inline void commit(D* to, const D* from, uint32_t mask) {
#if defined(__AVX512BW__)
  for (uint32_t first = 0; first < kWarpSize; first += 64 / sizeof(D)) {
    const __m512i old = _mm512_load_si512(to + first);
    const __m512i fresh = _mm512_load_si512(from + first);
    const uint32_t on = mask >> first;
    __m512i blended;
    if constexpr (sizeof(D) == 2) {
      blended = _mm512_mask_mov_epi16(old, on, fresh);
    } else if constexpr (sizeof(D) == 4) {
      blended = _mm512_mask_mov_epi32(old, static_cast<__mmask16>(on), fresh);
    } else {
      blended = _mm512_mask_mov_epi64(old, static_cast<__mmask8>(on), fresh);
    }
    _mm512_store_si512(to + first, blended);
  }
#else
  using U = typename UnsignedOf<sizeof(D)>::Type;
  U* d = reinterpret_cast<U*>(to);
  const U* r = reinterpret_cast<const U*>(from);
  TESSERA_LANES {
    const U on = lane_bits<U>(mask, i);
    d[i] = static_cast<U>((d[i] & ~on) | (r[i] & on));
  }
#endif
}

// One bit per lane from lanes that are all ones or zero.
template <class U>
inline uint32_t mask_of(const U* lanes) {
#if defined(__AVX512BW__)
  uint32_t mask = 0;
  for (uint32_t first = 0; first < kWarpSize; first += 64 / sizeof(U)) {
    const __m512i v = _mm512_load_si512(lanes + first);
    if constexpr (sizeof(U) == 2) {
      mask |= static_cast<uint32_t>(_mm512_movepi16_mask(v)) << first;
    } else if constexpr (sizeof(U) == 4) {
      mask |= static_cast<uint32_t>(_mm512_movepi32_mask(v)) << first;
    } else {
      mask |= static_cast<uint32_t>(_mm512_movepi64_mask(v)) << first;
    }
  }
  return mask;
#else
  uint32_t mask = 0;
  TESSERA_LANES mask |= lanes[i] != 0 ? 1u << i : 0u;
  return mask;
#endif
}

// Elementwise handlers. F::apply computes one lane without branches that would stop vectorisation; lanes that
// are off compute too, and keep their value.
template <class F, class D, class A>
const Op* unary(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  D* d = slot<D>(frame, op->o[0]);
  const A* a = slot<A>(frame, op->o[1]);
  if (mask == kAllLanes) {
    TESSERA_LANES d[i] = static_cast<D>(F::apply(a[i]));
  } else {
    alignas(64) D r[kWarpSize];
    TESSERA_LANES r[i] = static_cast<D>(F::apply(a[i]));
    commit(d, r, mask);
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
    alignas(64) D r[kWarpSize];
    TESSERA_LANES r[i] = static_cast<D>(F::apply(a[i], b[i]));
    commit(d, r, mask);
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
    alignas(64) D r[kWarpSize];
    TESSERA_LANES r[i] = static_cast<D>(F::apply(a[i], b[i], c[i]));
    commit(d, r, mask);
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
