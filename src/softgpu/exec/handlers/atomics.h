// What atomic operations compute, and how they are done in memory that others may touch.
#pragma once

#include "softgpu/exec/handlers/floats.h"

namespace tessera::softgpu::exec {
namespace TESSERA_ISA {
namespace atomics {

struct And {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<T>(old & b);
  }
};
struct Or {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<T>(old | b);
  }
};
struct Xor {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<T>(old ^ b);
  }
};
struct Exch {
  template <class T>
  static T apply(T, T b, T) {
    return b;
  }
};
struct Cas {
  template <class T>
  static T apply(T old, T b, T c) {
    return old == b ? c : old;
  }
};
struct Inc {
  template <class T>
  static T apply(T old, T b, T) {
    return old >= b ? T{0} : static_cast<T>(old + 1);
  }
};
struct Dec {
  template <class T>
  static T apply(T old, T b, T) {
    return old == 0 || old > b ? b : static_cast<T>(old - 1);
  }
};
template <class S>
struct Min {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<S>(old) < static_cast<S>(b) ? old : b;
  }
};
template <class S>
struct Max {
  template <class T>
  static T apply(T old, T b, T) {
    return static_cast<S>(old) > static_cast<S>(b) ? old : b;
  }
};
template <class F>
struct FloatAdd {
  template <class T>
  static T apply(T old, T b, T) {
    return bits_as<T>(canonical(bits_as<F>(old) + bits_as<F>(b)));
  }
};
template <class H>
struct HalfAdd {
  static u16 apply(u16 old, u16 b, u16) { return H::store(H::load(old) + H::load(b)); }
};
// A NaN loses against a number; -0 is less than +0.
template <class H, bool Larger>
struct HalfPick {
  static u16 apply(u16 old, u16 b, u16) {
    const f32 x = H::load(old), y = H::load(b);
    if (x != x) return y != y ? u16{kNan16} : b;
    if (y != y) return old;
    if (x == y) return static_cast<u16>(Larger ? old & b : old | b);
    return (x > y) == Larger ? old : b;
  }
};
// An operation on each half of a word.
template <class F>
struct Pair {
  static u32 apply(u32 old, u32 b, u32) {
    const u16 low = F::apply(static_cast<u16>(old), static_cast<u16>(b), 0);
    const u16 high = F::apply(static_cast<u16>(old >> 16), static_cast<u16>(b >> 16), 0);
    return (u32{high} << 16) | low;
  }
};

template <class F, class T>
inline T update(T* p, T b, T c) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (
      !__atomic_compare_exchange_n(p, &old, F::apply(old, b, c), false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <class T>
inline T update_add(T* p, T b) {
  return __atomic_fetch_add(p, b, __ATOMIC_SEQ_CST);
}

}  // namespace atomics
}  // namespace TESSERA_ISA
}  // namespace tessera::softgpu::exec
