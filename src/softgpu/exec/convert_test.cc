// cvt between all types, and the half formats, against long-hand references.
#include <algorithm>
#include <cmath>

#include "softgpu/exec/testing/elementwise.h"

namespace tessera::softgpu::exec {
namespace {

template <class T>
std::string type_name() {
  if (std::is_same_v<T, float>) return "f32";
  if (std::is_same_v<T, double>) return "f64";
  return std::string(std::is_signed_v<T> ? "s" : "u") + std::to_string(sizeof(T) * 8);
}

template <class D, class S>
D to_integer(S a, S (*round)(S)) {
  using L = std::numeric_limits<D>;
  if (std::isnan(a))
    return sizeof(D) == 8 || sizeof(S) == 8 ? static_cast<D>(D{1} << (sizeof(D) * 8 - 1)) : D{0};
  const S r = round(a);
  // The limits are powers of two (less one), compared in the wider format.
  const long double exact = static_cast<long double>(r);
  if (exact <= static_cast<long double>(L::min())) return L::min();
  if (exact >= static_cast<long double>(L::max())) return L::max();
  return static_cast<D>(r);
}

template <class D, class S>
void check_to_integer(const std::vector<S>& values) {
  const struct {
    const char* name;
    S (*round)(S);
  } roundings[] = {{"rni", [](S a) { return std::nearbyint(a); }},
                   {"rzi", [](S a) { return std::trunc(a); }},
                   {"rmi", [](S a) { return std::floor(a); }},
                   {"rpi", [](S a) { return std::ceil(a); }}};
  for (const auto& rounding : roundings) {
    check_pairs<D, S, S, S>(
        std::string("cvt.") + rounding.name + "." + type_name<D>() + "." + type_name<S>() + " %d, %a;",
        values, {0}, {0}, [&](S a, S, S) { return to_integer<D, S>(a, rounding.round); });
  }
}

TEST(Convert, FloatToIntegerClampsAndRounds) {
  check_to_integer<int16_t>(float_values());
  check_to_integer<uint16_t>(float_values());
  check_to_integer<int32_t>(float_values());
  check_to_integer<uint32_t>(float_values());
  check_to_integer<int64_t>(float_values());
  check_to_integer<uint64_t>(float_values());
  check_to_integer<int64_t>(double_values());
  check_to_integer<uint64_t>(double_values());
  check_to_integer<int32_t>([] {
    auto values = double_values();
    std::erase_if(values, [](double v) { return std::isnan(v); });
    return values;
  }());
}

template <class F, class I>
void check_from_integer() {
  check_pairs<F, I, I, I>("cvt.rn." + type_name<F>() + "." + type_name<I>() + " %d, %a;", integer_values<I>(),
                          {0}, {0}, [](I a, I, I) { return static_cast<F>(a); });
}

TEST(Convert, IntegerToFloat) {
  check_from_integer<float, int16_t>();
  check_from_integer<float, uint32_t>();
  check_from_integer<float, int32_t>();
  check_from_integer<float, uint64_t>();
  check_from_integer<float, int64_t>();
  check_from_integer<double, int32_t>();
  check_from_integer<double, uint64_t>();
  check_from_integer<double, int64_t>();
  check_pairs<float, int64_t, int64_t, int64_t>(
      "cvt.rz.f32.s64 %d, %a;", integer_values<int64_t>(), {0}, {0}, [](int64_t a, int64_t, int64_t) {
        const float nearest = static_cast<float>(a);
        const long double exact = static_cast<long double>(a);
        return std::fabs(static_cast<long double>(nearest)) > std::fabs(exact) ? std::nextafter(nearest, 0.0f)
                                                                               : nearest;
      });
}

template <class D, class S>
void check_integers() {
  check_pairs<D, S, S, S>("cvt." + type_name<D>() + "." + type_name<S>() + " %d, %a;", integer_values<S>(),
                          {0}, {0}, [](S a, S, S) { return static_cast<D>(a); });
  check_pairs<D, S, S, S>("cvt.sat." + type_name<D>() + "." + type_name<S>() + " %d, %a;",
                          integer_values<S>(), {0}, {0}, [](S a, S, S) {
                            using L = std::numeric_limits<D>;
                            if (std::cmp_less(a, L::min())) return L::min();
                            return std::cmp_greater(a, L::max()) ? L::max() : static_cast<D>(a);
                          });
}

TEST(Convert, BetweenIntegers) {
  check_integers<int16_t, int32_t>();
  check_integers<uint16_t, int64_t>();
  check_integers<int32_t, int16_t>();
  check_integers<uint32_t, int16_t>();
  check_integers<uint32_t, uint16_t>();
  check_integers<int64_t, uint32_t>();
  check_integers<int64_t, int32_t>();
  check_integers<uint32_t, uint64_t>();
  check_integers<int32_t, uint64_t>();
}

TEST(Convert, BytesLiveInWiderRegisters) {
  const auto w = integer_values<uint32_t>();
  check_pairs<uint32_t, uint32_t>("cvt.u32.u8 %d, %a;", w, {0}, {0},
                                  [](uint32_t a, uint32_t, uint32_t) { return a & 0xff; });
  check_pairs<int32_t, uint32_t, uint32_t, uint32_t>(
      "cvt.s32.s8 %d, %a;", w, {0}, {0},
      [](uint32_t a, uint32_t, uint32_t) { return static_cast<int32_t>(static_cast<int8_t>(a)); });
  check_pairs<int16_t, uint32_t, uint32_t, uint32_t>(
      "cvt.s8.s32 %d, %a;", w, {0}, {0},
      [](uint32_t a, uint32_t, uint32_t) { return static_cast<int16_t>(static_cast<int8_t>(a)); });
  check_pairs<int64_t, uint32_t, uint32_t, uint32_t>(
      "cvt.s16.s32 %d, %a;", w, {0}, {0},
      [](uint32_t a, uint32_t, uint32_t) { return static_cast<int64_t>(static_cast<int16_t>(a)); });
  check_pairs<uint32_t, float, float, float>(
      "cvt.rzi.u8.f32 %h0, %a; cvt.u32.u16 %d, %h0;", float_values(), {0}, {0}, [](float a, float, float) {
        return std::isnan(a) ? 0u : static_cast<uint32_t>(std::clamp(std::trunc(a), 0.0f, 255.0f));
      });
}

TEST(Convert, FloatToFloat) {
  const auto f = float_values();
  const auto d = double_values();
  check_pairs<double, float, float, float>("cvt.f64.f32 %d, %a;", f, {0}, {0},
                                           [](float a, float, float) { return static_cast<double>(a); });
  check_pairs<float, double, double, double>("cvt.rn.f32.f64 %d, %a;", d, {0}, {0},
                                             [](double a, double, double) { return static_cast<float>(a); });
  check_pairs<float, double, double, double>(
      "cvt.rm.f32.f64 %d, %a;", d, {0}, {0}, [](double a, double, double) {
        const float r = static_cast<float>(a);
        return static_cast<double>(r) > a ? std::nextafter(r, -INFINITY) : r;
      });
  check_pairs<float, float>("cvt.rni.f32.f32 %d, %a;", f, {0}, {0},
                            [](float a, float, float) { return std::nearbyint(a); });
  check_pairs<float, float>("cvt.rpi.f32.f32 %d, %a;", f, {0}, {0},
                            [](float a, float, float) { return std::ceil(a); });
  check_pairs<double, double>("cvt.rmi.f64.f64 %d, %a;", d, {0}, {0},
                              [](double a, double, double) { return std::floor(a); });
}

// A half's value, and the half nearest to a value: by search over all of them.
double half_value(uint16_t h) {
  const int exponent = h >> 10 & 31;
  const int fraction = h & 0x3ff;
  const double magnitude = exponent == 31  ? (fraction != 0 ? NAN : INFINITY)
                           : exponent == 0 ? std::ldexp(fraction, -24)
                                           : std::ldexp(1024 + fraction, exponent - 25);
  return (h & 0x8000) != 0 ? -magnitude : magnitude;
}
uint16_t nearest_half(double v) {
  if (std::isnan(v)) return 0x7fff;
  const uint16_t sign = std::signbit(v) ? 0x8000 : 0;
  const double m = std::fabs(v);
  if (m >= 65520.0) return sign | 0x7c00;
  uint16_t low = 0, high = 0x7bff;
  while (low < high) {  // the largest half not above m
    const uint16_t middle = static_cast<uint16_t>((low + high + 1) / 2);
    if (half_value(middle) <= m)
      low = middle;
    else
      high = static_cast<uint16_t>(middle - 1);
  }
  const double below = m - half_value(low);
  const double above = (low == 0x7bff ? 65536.0 : half_value(static_cast<uint16_t>(low + 1))) - m;
  return sign | static_cast<uint16_t>(below < above || (below == above && (low & 1) == 0) ? low : low + 1);
}
std::vector<uint16_t> half_values() {
  return {0x0000, 0x8000, 0x3c00, 0xbc00, 0x3c01, 0x0001, 0x8001, 0x03ff, 0x0400, 0x7bff,
          0xfbff, 0x7c00, 0xfc00, 0x7e00, 0x3555, 0x4248, 0x5640, 0x1400, 0x2e66, 0x68d1};
}

TEST(Half, Conversions) {
  const auto f = float_values();
  check_pairs<uint16_t, float, float, float>(
      "cvt.rn.f16.f32 %d, %a;", f, {0}, {0},
      [](float a, float, float) { return nearest_half(static_cast<double>(a)); });
  check_pairs<uint16_t, double, double, double>("cvt.rn.f16.f64 %d, %a;", double_values(), {0}, {0},
                                                [](double a, double, double) { return nearest_half(a); });
  std::vector<uint16_t> all;
  for (uint32_t h = 0; h < 65536; h += 7) all.push_back(static_cast<uint16_t>(h));
  check_pairs<float, uint16_t, uint16_t, uint16_t>(
      "cvt.f32.f16 %d, %a;", all, {0}, {0},
      [](uint16_t a, uint16_t, uint16_t) { return static_cast<float>(half_value(a)); });
  check_pairs<uint32_t, float, float, float>(
      "cvt.rn.f16x2.f32 %d, %a, %b;", f, {1.0f, -2.5f, 65504.0f}, {0}, [](float a, float b, float) {
        return uint32_t{nearest_half(static_cast<double>(a))} << 16 | nearest_half(static_cast<double>(b));
      });
  check_pairs<uint16_t, float, float, float>(
      "cvt.rz.f16.f32 %d, %a;", {1.0009f, -1.0009f, 70000.0f, 1e-7f, 0.1f}, {0}, {0},
      [](float a, float, float) {
        uint16_t h = nearest_half(static_cast<double>(a));
        if (std::fabs(half_value(h)) > std::fabs(static_cast<double>(a))) --h;
        return h;
      });
  check_pairs<uint16_t, int32_t, int32_t, int32_t>(
      "cvt.rn.f16.s32 %d, %a;", integer_values<int32_t>(), {0}, {0},
      [](int32_t a, int32_t, int32_t) { return nearest_half(a); });
  check_pairs<uint16_t, float, float, float>(
      "cvt.rn.bf16.f32 %d, %a;", f, {0}, {0}, [](float a, float, float) {
        if (std::isnan(a)) return uint16_t{0x7fff};
        const uint32_t bits = std::bit_cast<uint32_t>(a);
        return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
      });
}

TEST(Half, Arithmetic) {
  const auto h = half_values();
  const auto check = [&](const std::string& op,
                         const std::function<uint16_t(uint16_t, uint16_t, uint16_t)>& reference) {
    check_pairs<uint16_t, uint16_t>(op, h, h, h, reference);
  };
  check("add.f16 %d, %a, %b;",
        [](uint16_t a, uint16_t b, uint16_t) { return nearest_half(half_value(a) + half_value(b)); });
  check("sub.f16 %d, %a, %b;",
        [](uint16_t a, uint16_t b, uint16_t) { return nearest_half(half_value(a) - half_value(b)); });
  check("mul.f16 %d, %a, %b;",
        [](uint16_t a, uint16_t b, uint16_t) { return nearest_half(half_value(a) * half_value(b)); });
  check("neg.f16 %d, %a;", [](uint16_t a, uint16_t, uint16_t) { return static_cast<uint16_t>(a ^ 0x8000); });
  check("fma.rn.f16 %d, %a, %b, %c;", [](uint16_t a, uint16_t b, uint16_t c) {
    // Products have 22 bits and lie within 2^-48..2^32: the sum is exact in long double.
    const long double exact = static_cast<long double>(half_value(a)) * half_value(b) + half_value(c);
    const double rounded = static_cast<double>(exact);
    return nearest_half(rounded == exact || std::isnan(rounded)
                            ? rounded
                            : std::nextafter(rounded, exact > rounded ? INFINITY : -INFINITY) * 0.5 +
                                  rounded * 0.5);
  });
  const std::vector<uint32_t> pairs = {0x3c004000, 0xc1233555, 0x00010400, 0x7bff7c00, 0x80003c01};
  check_pairs<uint32_t, uint32_t>(
      "add.f16x2 %d, %a, %b;", pairs, pairs, pairs, [](uint32_t a, uint32_t b, uint32_t) {
        const auto low =
            nearest_half(half_value(static_cast<uint16_t>(a)) + half_value(static_cast<uint16_t>(b)));
        const auto high = nearest_half(half_value(static_cast<uint16_t>(a >> 16)) +
                                       half_value(static_cast<uint16_t>(b >> 16)));
        return uint32_t{high} << 16 | low;
      });
  check_pairs<uint32_t, uint32_t>(
      "setp.lt.f16x2 %p1|%p2, %a, %b; selp.u32 %d, 1, 0, %p1; selp.u32 %t0, 2, 0, %p2; or.b32 %d, %d, %t0;",
      pairs, pairs, pairs, [](uint32_t a, uint32_t b, uint32_t) {
        const bool low = half_value(static_cast<uint16_t>(a)) < half_value(static_cast<uint16_t>(b));
        const bool high =
            half_value(static_cast<uint16_t>(a >> 16)) < half_value(static_cast<uint16_t>(b >> 16));
        return (low ? 1u : 0u) | (high ? 2u : 0u);
      });
  check_pairs<uint32_t, uint32_t>(
      "set.ge.f16x2.f16x2 %d, %a, %b;", pairs, pairs, pairs, [](uint32_t a, uint32_t b, uint32_t) {
        const bool low = half_value(static_cast<uint16_t>(a)) >= half_value(static_cast<uint16_t>(b));
        const bool high =
            half_value(static_cast<uint16_t>(a >> 16)) >= half_value(static_cast<uint16_t>(b >> 16));
        return (low ? 0x3c00u : 0u) | (high ? 0x3c000000u : 0u);
      });
  check("max.f16 %d, %a, %b;", [](uint16_t a, uint16_t b, uint16_t) {
    if (std::isnan(half_value(a)) && std::isnan(half_value(b))) return uint16_t{0x7fff};
    if (std::isnan(half_value(a))) return b;
    if (std::isnan(half_value(b))) return a;
    return half_value(a) > half_value(b) || (half_value(a) == half_value(b) && (a & 0x8000) == 0) ? a : b;
  });
}

TEST(Half, Bfloat) {
  const std::vector<uint16_t> b16 = {0x0000, 0x3f80, 0xbf80, 0x4049, 0x7f7f, 0x7f80, 0x0080, 0x3f81, 0xc2f7};
  const auto value = [](uint16_t h) { return static_cast<double>(std::bit_cast<float>(uint32_t{h} << 16)); };
  const auto nearest = [](double v) {
    const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(v));
    return std::isnan(v) ? uint16_t{0x7fff} : static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  };
  check_pairs<uint16_t, uint16_t>(
      "add.bf16 %d, %a, %b;", b16, b16, b16,
      [&](uint16_t a, uint16_t b, uint16_t) { return nearest(value(a) + value(b)); });
  check_pairs<uint16_t, uint16_t>(
      "mul.bf16 %d, %a, %b;", b16, b16, b16,
      [&](uint16_t a, uint16_t b, uint16_t) { return nearest(value(a) * value(b)); });
  // 1.5 * (1 + 2^-7) is halfway between two bf16 values; an addend far below f64's last bit decides.
  check_pairs<uint16_t, uint16_t>("fma.rn.bf16 %d, %a, %b, %c;", {0x3fc0}, {0x3f81}, {0x0080},
                                  [](uint16_t, uint16_t, uint16_t) { return uint16_t{0x3fc2}; });
  check_pairs<uint16_t, uint16_t>("fma.rn.bf16 %d, %a, %b, %c;", {0x3fc0}, {0x3f81}, {0x8080},
                                  [](uint16_t, uint16_t, uint16_t) { return uint16_t{0x3fc1}; });
}

}  // namespace
}  // namespace tessera::softgpu::exec
