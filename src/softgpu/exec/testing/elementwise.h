// Runs one PTX instruction over arrays of operands, with all lanes on and with every other lane off, and
// compares it with a C++ function.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "softgpu/exec/testing/test_machine.h"

namespace tessera::softgpu::exec {

template <class T>
constexpr const char* register_type() {
  if (std::is_same_v<T, float>) return "f32";
  if (std::is_same_v<T, double>) return "f64";
  return sizeof(T) <= 2 ? "b16" : sizeof(T) == 4 ? "b32" : "b64";
}

// The kernel: d[i] = op(a[i], b[i], c[i]) where i < n and (!odd_only or i is odd). `op` uses %d, %a, %b, %c
// and may use predicates %p1..%p3 and registers %t0..%t3 (32 bits).
std::string elementwise_kernel(const std::string& op, const char* d, const char* a, const char* b,
                               const char* c, bool guarded);

// Bit-equal, but any NaN equals any NaN.
template <class T>
bool same_value(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    if (x != x || y != y) return x != x && y != y;
    using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    return std::bit_cast<U>(x) == std::bit_cast<U>(y);
  } else {
    return x == y;
  }
}

template <class D, class A, class B, class C>
void check_elementwise(const std::string& op, const std::vector<A>& a, const std::vector<B>& b,
                       const std::vector<C>& c, const std::function<D(A, B, C)>& reference) {
  for (const bool guarded : {false, true}) {
    TestMachine machine(elementwise_kernel(op, register_type<D>(), register_type<A>(), register_type<B>(),
                                           register_type<C>(), guarded));
    ASSERT_TRUE(machine.status().ok()) << op << ": " << machine.status().message();
    const uint32_t n = static_cast<uint32_t>(a.size());
    D* d = machine.array<D>(n);
    A* pa = machine.array<A>(n);
    B* pb = machine.array<B>(n);
    C* pc = machine.array<C>(n);
    std::memset(static_cast<void*>(d), 0x5a, n * sizeof(D));
    std::memcpy(pa, a.data(), n * sizeof(A));
    std::memcpy(pb, b.data(), n * sizeof(B));
    std::memcpy(pc, c.data(), n * sizeof(C));
    D untouched;
    std::memcpy(&untouched, d, sizeof(D));
    const Outcome outcome =
        machine.run("k", {(n + 127) / 128}, {128}, Parameters().add(d).add(pa).add(pb).add(pc).add(n));
    ASSERT_EQ(outcome, Outcome::kFinished)
        << op << ": " << machine.status().message() << machine.fault().detail;
    for (uint32_t i = 0; i < n; ++i) {
      const D expected = guarded && i % 2 == 0 ? untouched : reference(a[i], b[i], c[i]);
      ASSERT_TRUE(same_value(d[i], expected))
          << op << (guarded ? " (guarded)" : "") << " a=" << +a[i] << " b=" << +b[i] << " c=" << +c[i]
          << " got " << +d[i] << " want " << +expected;
    }
  }
}

// All pairs of two value lists, with c running through a third.
template <class D, class A, class B = A, class C = A>
void check_pairs(const std::string& op, const std::type_identity_t<std::vector<A>>& as,
                 const std::type_identity_t<std::vector<B>>& bs,
                 const std::type_identity_t<std::vector<C>>& cs,
                 const std::type_identity_t<std::function<D(A, B, C)>>& reference) {
  std::vector<A> a;
  std::vector<B> b;
  std::vector<C> c;
  size_t k = 0;
  for (const A& x : as) {
    for (const B& y : bs) {
      a.push_back(x);
      b.push_back(y);
      c.push_back(cs[k++ % cs.size()]);
    }
  }
  check_elementwise<D, A, B, C>(op, a, b, c, reference);
}

template <class T>
std::vector<T> integer_values() {
  std::vector<T> values;
  for (const uint64_t v : {uint64_t{0},
                           uint64_t{1},
                           uint64_t{2},
                           uint64_t{7},
                           uint64_t{31},
                           uint64_t{32},
                           uint64_t{33},
                           uint64_t{63},
                           uint64_t{64},
                           uint64_t{100},
                           uint64_t{255},
                           uint64_t{0x7f},
                           uint64_t{0x80},
                           uint64_t{0x7fff},
                           uint64_t{0x8000},
                           uint64_t{0xffff},
                           uint64_t{0x7fffffff},
                           uint64_t{0x80000000},
                           uint64_t{0xffffffff},
                           uint64_t{0x123456789abcdef0},
                           uint64_t{0x7fffffffffffffff},
                           uint64_t{0x8000000000000000},
                           ~uint64_t{0},
                           ~uint64_t{1},
                           uint64_t{0xdeadbeefcafef00d}}) {
    values.push_back(static_cast<T>(v));
  }
  return values;
}

std::vector<float> float_values();
std::vector<double> double_values();

}  // namespace tessera::softgpu::exec
