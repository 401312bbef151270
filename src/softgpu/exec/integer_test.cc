// Integer and bit instructions against plain C++.
#include <algorithm>
#include <cmath>
#include <functional>

#include "softgpu/exec/testing/elementwise.h"

namespace tessera::softgpu::exec {
namespace {

template <class T>
std::string type_name() {
  return std::string(std::is_signed_v<T> ? "s" : "u") + std::to_string(sizeof(T) * 8);
}
template <class T>
using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
template <class T>
using Unsigned = std::make_unsigned_t<T>;

template <class T>
class IntegerOps : public ::testing::Test {
 public:
  void check(const std::string& op, std::function<T(T, T, T)> reference) {
    const auto values = integer_values<T>();
    check_pairs<T, T, T, T>(op + " %d, %a, %b;", values, values, values, reference);
  }
  void check3(const std::string& op, std::function<T(T, T, T)> reference) {
    const auto values = integer_values<T>();
    check_pairs<T, T, T, T>(op + " %d, %a, %b, %c;", values, values, values, reference);
  }
};
__extension__ typedef __int128 Int128;
using Types = ::testing::Types<int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t>;
TYPED_TEST_SUITE(IntegerOps, Types);

TYPED_TEST(IntegerOps, Arithmetic) {
  using T = TypeParam;
  using U = Unsigned<T>;
  const std::string t = type_name<T>();
  constexpr int bits = sizeof(T) * 8;
  this->check("add." + t, [](T a, T b, T) {
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  });
  this->check("sub." + t, [](T a, T b, T) {
    return static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  });
  this->check("mul.lo." + t, [](T a, T b, T) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  });
  this->check("mul.hi." + t, [](T a, T b, T) {
    return static_cast<T>(static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b) >> bits);
  });
  this->check3("mad.lo." + t, [](T a, T b, T c) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b) + static_cast<uint64_t>(c));
  });
  this->check3("mad.hi." + t, [](T a, T b, T c) {
    return static_cast<T>(static_cast<U>(static_cast<Wide<T>>(a) * static_cast<Wide<T>>(b) >> bits) +
                          static_cast<U>(c));
  });
  this->check3("sad." + t, [](T a, T b, T c) {
    const U difference = a < b ? static_cast<U>(static_cast<U>(b) - static_cast<U>(a))
                               : static_cast<U>(static_cast<U>(a) - static_cast<U>(b));
    return static_cast<T>(static_cast<U>(c) + difference);
  });
  this->check("min." + t, [](T a, T b, T) { return std::min(a, b); });
  this->check("max." + t, [](T a, T b, T) { return std::max(a, b); });
}

TYPED_TEST(IntegerOps, DivisionFollowsTheHardwareWhereCppIsUndefined) {
  using T = TypeParam;
  const std::string t = type_name<T>();
  this->check("div." + t, [](T a, T b, T) {
    if (b == 0) return static_cast<T>(-1);
    return static_cast<T>(static_cast<Wide<T>>(a) / static_cast<Wide<T>>(b));
  });
  this->check("rem." + t, [](T a, T b, T) {
    if (b == 0) return a;
    return static_cast<T>(static_cast<Wide<T>>(a) % static_cast<Wide<T>>(b));
  });
}

TYPED_TEST(IntegerOps, Logic) {
  using T = TypeParam;
  const std::string t = "b" + std::to_string(sizeof(T) * 8);
  this->check("and." + t, [](T a, T b, T) { return static_cast<T>(a & b); });
  this->check("or." + t, [](T a, T b, T) { return static_cast<T>(a | b); });
  this->check("xor." + t, [](T a, T b, T) { return static_cast<T>(a ^ b); });
  const auto values = integer_values<T>();
  check_pairs<T, T, T, T>("not." + t + " %d, %a;", values, {0}, {0},
                          [](T a, T, T) { return static_cast<T>(~a); });
  check_pairs<T, T, T, T>("cnot." + t + " %d, %a;", values, {0}, {0},
                          [](T a, T, T) { return static_cast<T>(a == 0); });
}

TYPED_TEST(IntegerOps, ShiftsClampTheirAmount) {
  using T = TypeParam;
  constexpr uint32_t bits = sizeof(T) * 8;
  const auto values = integer_values<T>();
  const std::vector<uint32_t> amounts = {0, 1, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000, 0x80000000u};
  check_pairs<T, T, uint32_t, T>(
      "shl.b" + std::to_string(bits) + " %d, %a, %b;", values, amounts, {0},
      [](T a, uint32_t n, T) { return n >= bits ? T{0} : static_cast<T>(static_cast<uint64_t>(a) << n); });
  check_pairs<T, T, uint32_t, T>("shr." + type_name<T>() + " %d, %a, %b;", values, amounts, {0},
                                 [](T a, uint32_t n, T) {
                                   if (n >= bits)
                                     return std::is_signed_v<T> && a < 0 ? static_cast<T>(-1) : T{0};
                                   return static_cast<T>(a >> n);
                                 });
}

TYPED_TEST(IntegerOps, Comparisons) {
  using T = TypeParam;
  const std::string t = type_name<T>();
  const auto values = integer_values<T>();
  const auto check = [&](const std::string& comparison, std::function<bool(T, T)> holds) {
    check_pairs<uint32_t, T, T, T>("setp." + comparison + "." + t + " %p1, %a, %b; selp.u32 %d, 1, 0, %p1;",
                                   values, values, {0},
                                   [&](T a, T b, T) { return static_cast<uint32_t>(holds(a, b)); });
    check_pairs<uint32_t, T, T, T>(
        "setp.lt." + t + " %p2, %b, %a; setp." + comparison + ".or." + t +
            " %p1|%p3, %a, %b, %p2; selp.u32 %d, 1, 0, %p3; selp.u32 %t0, 2, 0, %p1; or.b32 %d, %d, %t0;",
        values, values, {0}, [&](T a, T b, T) {
          const bool c = b < a;
          return static_cast<uint32_t>(!holds(a, b) || c) | (holds(a, b) || c ? 2u : 0u);
        });
  };
  check("eq", [](T a, T b) { return a == b; });
  check("ne", [](T a, T b) { return a != b; });
  check("lt", [](T a, T b) { return a < b; });
  check("le", [](T a, T b) { return a <= b; });
  check("gt", [](T a, T b) { return a > b; });
  check("ge", [](T a, T b) { return a >= b; });
}

TEST(IntegerOps32, WideMultiplication) {
  const auto s = integer_values<int32_t>();
  const auto u = integer_values<uint32_t>();
  check_pairs<int64_t, int32_t, int32_t, int64_t>(
      "mul.wide.s32 %d, %a, %b;", s, s, {0}, [](int32_t a, int32_t b, int64_t) { return int64_t{a} * b; });
  check_pairs<uint64_t, uint32_t, uint32_t, uint64_t>(
      "mul.wide.u32 %d, %a, %b;", u, u, {0},
      [](uint32_t a, uint32_t b, uint64_t) { return uint64_t{a} * b; });
  check_pairs<uint64_t, uint32_t, uint32_t, uint64_t>(
      "mad.wide.u32 %d, %a, %b, %c;", u, u, integer_values<uint64_t>(),
      [](uint32_t a, uint32_t b, uint64_t c) { return uint64_t{a} * b + c; });
  const auto h = integer_values<int16_t>();
  check_pairs<int32_t, int16_t, int16_t, int32_t>(
      "mad.wide.s16 %d, %a, %b, %c;", h, h, s, [](int16_t a, int16_t b, int32_t c) {
        return static_cast<int32_t>(static_cast<uint32_t>(int32_t{a} * b) + static_cast<uint32_t>(c));
      });
}

TEST(IntegerOps32, SaturationAnd24Bits) {
  const auto s = integer_values<int32_t>();
  const auto clamp = [](int64_t v) {
    return static_cast<int32_t>(std::clamp<int64_t>(v, INT32_MIN, INT32_MAX));
  };
  check_pairs<int32_t, int32_t>("add.sat.s32 %d, %a, %b;", s, s, s,
                                [&](int32_t a, int32_t b, int32_t) { return clamp(int64_t{a} + b); });
  check_pairs<int32_t, int32_t>("sub.sat.s32 %d, %a, %b;", s, s, s,
                                [&](int32_t a, int32_t b, int32_t) { return clamp(int64_t{a} - b); });
  check_pairs<int32_t, int32_t>(
      "mad.hi.sat.s32 %d, %a, %b, %c;", s, s, s,
      [&](int32_t a, int32_t b, int32_t c) { return clamp((int64_t{a} * b >> 32) + c); });
  const auto low24 = [](int32_t v) {
    return static_cast<int64_t>(static_cast<int32_t>(static_cast<uint32_t>(v) << 8) >> 8);
  };
  check_pairs<int32_t, int32_t>("mul24.lo.s32 %d, %a, %b;", s, s, s, [&](int32_t a, int32_t b, int32_t) {
    return static_cast<int32_t>(low24(a) * low24(b));
  });
  check_pairs<int32_t, int32_t>("mul24.hi.s32 %d, %a, %b;", s, s, s, [&](int32_t a, int32_t b, int32_t) {
    return static_cast<int32_t>(low24(a) * low24(b) >> 16);
  });
  check_pairs<int32_t, int32_t>("abs.s32 %d, %a;", s, {0}, s,
                                [](int32_t a, int32_t, int32_t) { return a == INT32_MIN ? a : std::abs(a); });
  check_pairs<int32_t, int32_t>("neg.s32 %d, %a;", s, {0}, s, [](int32_t a, int32_t, int32_t) {
    return static_cast<int32_t>(0u - static_cast<uint32_t>(a));
  });
}

TEST(IntegerOps32, CarryChainsAdd128Bits) {
  const auto u = integer_values<uint32_t>();
  check_pairs<uint32_t, uint32_t>("add.cc.u32 %t0, %a, %b; addc.cc.u32 %t1, %b, %c; addc.u32 %d, %a, 0;", u,
                                  u, u, [](uint32_t a, uint32_t b, uint32_t c) {
                                    const uint64_t low = uint64_t{a} + b;
                                    const uint64_t middle = uint64_t{b} + c + (low >> 32);
                                    return static_cast<uint32_t>(a + (middle >> 32));
                                  });
  check_pairs<uint32_t, uint32_t>("sub.cc.u32 %t0, %a, %b; subc.cc.u32 %t1, %b, %c; subc.u32 %d, %a, %c;", u,
                                  u, u, [](uint32_t a, uint32_t b, uint32_t c) {
                                    const uint32_t borrow = a < b;
                                    const uint32_t second = uint64_t{b} < uint64_t{c} + borrow;
                                    return a - c - second;
                                  });
  check_pairs<uint32_t, uint32_t>("mad.lo.cc.u32 %t0, %a, %b, %c; madc.hi.u32 %d, %a, %b, %c;", u, u, u,
                                  [](uint32_t a, uint32_t b, uint32_t c) {
                                    const uint64_t product = uint64_t{a} * b;
                                    const uint64_t low = (product & 0xffffffff) + c;
                                    return static_cast<uint32_t>((product >> 32) + c + (low >> 32));
                                  });
}

TEST(Bits, CountsAndFinds) {
  const auto w = integer_values<uint32_t>();
  const auto q = integer_values<uint64_t>();
  check_pairs<uint32_t, uint32_t>("popc.b32 %d, %a;", w, {0}, {0}, [](uint32_t a, uint32_t, uint32_t) {
    return static_cast<uint32_t>(std::popcount(a));
  });
  check_pairs<uint32_t, uint64_t, uint32_t, uint32_t>(
      "popc.b64 %d, %a;", q, {0}, {0},
      [](uint64_t a, uint32_t, uint32_t) { return static_cast<uint32_t>(std::popcount(a)); });
  check_pairs<uint32_t, uint32_t>("clz.b32 %d, %a;", w, {0}, {0}, [](uint32_t a, uint32_t, uint32_t) {
    return static_cast<uint32_t>(std::countl_zero(a));
  });
  check_pairs<uint32_t, uint64_t, uint32_t, uint32_t>(
      "clz.b64 %d, %a;", q, {0}, {0},
      [](uint64_t a, uint32_t, uint32_t) { return static_cast<uint32_t>(std::countl_zero(a)); });
  check_pairs<uint32_t, uint32_t>("bfind.u32 %d, %a;", w, {0}, {0}, [](uint32_t a, uint32_t, uint32_t) {
    return static_cast<uint32_t>(std::bit_width(a)) - 1;
  });
  check_pairs<uint32_t, int32_t, uint32_t, uint32_t>(
      "bfind.s32 %d, %a;", integer_values<int32_t>(), {0}, {0}, [](int32_t a, uint32_t, uint32_t) {
        return static_cast<uint32_t>(std::bit_width(static_cast<uint32_t>(a < 0 ? ~a : a))) - 1;
      });
  check_pairs<uint32_t, uint32_t>("bfind.shiftamt.u32 %d, %a;", w, {0}, {0},
                                  [](uint32_t a, uint32_t, uint32_t) {
                                    return a == 0 ? ~0u : static_cast<uint32_t>(std::countl_zero(a));
                                  });
  check_pairs<uint32_t, uint32_t>("brev.b32 %d, %a;", w, {0}, {0}, [](uint32_t a, uint32_t, uint32_t) {
    uint32_t r = 0;
    for (int i = 0; i < 32; ++i) r |= (a >> i & 1) << (31 - i);
    return r;
  });
  check_pairs<uint32_t, uint32_t, uint32_t, int32_t>(
      "fns.b32 %d, %a, %b, %c;", w, {0, 3, 8, 31}, {-2, -1, 0, 1, 3},
      [](uint32_t a, uint32_t base, int32_t n) {
        if (n == 0) return (a >> base & 1) != 0 ? base : ~0u;
        int left = std::abs(n);
        for (int at = static_cast<int>(base); at >= 0 && at<32; at += n> 0 ? 1 : -1) {
          if ((a >> at & 1) != 0 && --left == 0) return static_cast<uint32_t>(at);
        }
        return ~0u;
      });
}

// The definition of bfe in the PTX manual, word for word.
template <class T>
T bfe_reference(T a, uint32_t b, uint32_t c) {
  const int msb = sizeof(T) * 8 - 1;
  const int position = b & 0xff;
  const int length = c & 0xff;
  const uint64_t source = static_cast<std::make_unsigned_t<T>>(a);
  const bool sign = std::is_unsigned_v<T> || length == 0
                        ? false
                        : (source >> std::min(position + length - 1, msb) & 1) != 0;
  std::make_unsigned_t<T> d = 0;
  for (int i = 0; i <= msb; ++i) {
    const bool bit = i < length && position + i <= msb ? (source >> (position + i) & 1) != 0 : sign;
    d |= static_cast<std::make_unsigned_t<T>>(bit) << i;
  }
  return static_cast<T>(d);
}

TEST(Bits, Fields) {
  const std::vector<uint32_t> places = {0, 1, 5, 8, 15, 31, 32, 40, 63, 64, 255, 256};
  const auto check = [&]<class T>(T, const std::string& name) {
    check_pairs<T, T, uint32_t, uint32_t>(name + " %d, %a, %b, %c;", integer_values<T>(), places,
                                          {0, 1, 4, 8, 16, 31, 32, 33, 64, 255},
                                          [](T a, uint32_t b, uint32_t c) { return bfe_reference(a, b, c); });
  };
  check(uint32_t{}, "bfe.u32");
  check(int32_t{}, "bfe.s32");
  check(uint64_t{}, "bfe.u64");
  check(int64_t{}, "bfe.s64");
  check_pairs<uint32_t, uint32_t, uint32_t, uint32_t>(
      "mov.b32 %t0, 0x5555aaaa; bfi.b32 %d, %a, %t0, %b, %c;", integer_values<uint32_t>(), places,
      {0, 1, 8, 31, 32, 33}, [](uint32_t a, uint32_t b, uint32_t c) {
        uint32_t f = 0x5555aaaa;
        for (uint32_t i = 0; i < (c & 0xff) && (b & 0xff) + i < 32; ++i) {
          const uint32_t at = (b & 0xff) + i;
          const uint32_t bit = i < 32 ? a >> i & 1 : 0;
          f = (f & ~(1u << at)) | bit << at;
        }
        return f;
      });
  check_pairs<uint32_t, uint32_t>("bmsk.clamp.b32 %d, %a, %b;", {0, 3, 31, 32, 50}, {0, 1, 5, 31, 32, 99},
                                  {0}, [](uint32_t a, uint32_t b, uint32_t) {
                                    uint32_t mask = 0;
                                    for (uint64_t i = std::min(a, 32u);
                                         i < uint64_t{std::min(a, 32u)} + std::min(b, 32u) && i < 32; ++i)
                                      mask |= 1u << i;
                                    return mask;
                                  });
  check_pairs<uint32_t, uint32_t>("szext.clamp.s32 %d, %a, %b;", integer_values<uint32_t>(),
                                  {0, 1, 8, 16, 31, 32, 77}, {0}, [](uint32_t a, uint32_t b, uint32_t) {
                                    if (b == 0) return 0u;
                                    const uint32_t shift = 32 - std::min(b, 32u);
                                    return static_cast<uint32_t>(static_cast<int32_t>(a << shift) >> shift);
                                  });
}

TEST(Bits, LogicTables) {
  const auto w = integer_values<uint32_t>();
  for (const uint32_t table : {0x96u, 0xeau, 0x80u, 0xfeu, 0xcau, 0xe8u, 0x1bu, 0x00u, 0xffu, 0x6du}) {
    check_pairs<uint32_t, uint32_t>(
        "lop3.b32 %d, %a, %b, %c, " + std::to_string(table) + ";", w, w, w,
        [table](uint32_t a, uint32_t b, uint32_t c) {
          uint32_t r = 0;
          for (int i = 0; i < 32; ++i)
            r |= (table >> ((a >> i & 1) * 4 + (b >> i & 1) * 2 + (c >> i & 1)) & 1) << i;
          return r;
        });
  }
}

TEST(Bits, FunnelShiftsAndPermutes) {
  const auto w = integer_values<uint32_t>();
  const std::vector<uint32_t> amounts = {0, 1, 16, 31, 32, 33, 63};
  const auto pair = [](uint32_t a, uint32_t b) { return uint64_t{b} << 32 | a; };
  check_pairs<uint32_t, uint32_t>("shf.l.wrap.b32 %d, %a, %b, %c;", w, w, amounts,
                                  [&](uint32_t a, uint32_t b, uint32_t c) {
                                    return static_cast<uint32_t>(pair(a, b) << (c & 31) >> 32);
                                  });
  check_pairs<uint32_t, uint32_t>(
      "shf.r.wrap.b32 %d, %a, %b, %c;", w, w, amounts,
      [&](uint32_t a, uint32_t b, uint32_t c) { return static_cast<uint32_t>(pair(a, b) >> (c & 31)); });
  check_pairs<uint32_t, uint32_t>("shf.l.clamp.b32 %d, %a, %b, %c;", w, w, amounts,
                                  [&](uint32_t a, uint32_t b, uint32_t c) {
                                    return static_cast<uint32_t>(pair(a, b) << std::min(c, 32u) >> 32);
                                  });
  check_pairs<uint32_t, uint32_t>("shf.r.clamp.b32 %d, %a, %b, %c;", w, w, amounts,
                                  [&](uint32_t a, uint32_t b, uint32_t c) {
                                    return static_cast<uint32_t>(pair(a, b) >> std::min(c, 32u));
                                  });
  check_pairs<uint32_t, uint32_t>(
      "prmt.b32 %d, %a, %b, %c;", w, w, {0x3210, 0x7654, 0x0123, 0xfedc, 0x8091, 0x5410},
      [&](uint32_t a, uint32_t b, uint32_t c) {
        uint32_t r = 0;
        for (int k = 0; k < 4; ++k) {
          const uint32_t pick = c >> (4 * k) & 0xf;
          const uint32_t byte = static_cast<uint32_t>(pair(a, b) >> (8 * (pick & 7))) & 0xff;
          r |= ((pick & 8) != 0 ? ((byte & 0x80) != 0 ? 0xffu : 0u) : byte) << (8 * k);
        }
        return r;
      });
  check_pairs<uint32_t, uint32_t>(
      "prmt.b32.f4e %d, %a, %b, %c;", w, w, {0, 1, 2, 3},
      [&](uint32_t a, uint32_t b, uint32_t c) { return static_cast<uint32_t>(pair(a, b) >> (8 * c)); });
}

TEST(Bits, DotProducts) {
  const auto w = integer_values<uint32_t>();
  check_pairs<int32_t, uint32_t, uint32_t, int32_t>(
      "dp4a.s32.s32 %d, %a, %b, %c;", w, w, integer_values<int32_t>(), [](uint32_t a, uint32_t b, int32_t c) {
        uint32_t sum = static_cast<uint32_t>(c);
        for (int k = 0; k < 32; k += 8)
          sum += static_cast<uint32_t>(static_cast<int8_t>(a >> k) * static_cast<int8_t>(b >> k));
        return static_cast<int32_t>(sum);
      });
  check_pairs<uint32_t, uint32_t>("dp2a.hi.u32.u32 %d, %a, %b, %c;", w, w, w,
                                  [](uint32_t a, uint32_t b, uint32_t c) {
                                    return c + (a & 0xffff) * (b >> 16 & 0xff) + (a >> 16) * (b >> 24);
                                  });
}

TEST(Bits, SelectionAndPacking) {
  const auto w = integer_values<uint32_t>();
  check_pairs<uint32_t, uint32_t>("setp.lt.s32 %p1, %a, %b; selp.b32 %d, %b, %c, %p1;", w, w, w,
                                  [](uint32_t a, uint32_t b, uint32_t c) {
                                    return static_cast<int32_t>(a) < static_cast<int32_t>(b) ? b : c;
                                  });
  check_pairs<uint32_t, uint32_t, uint32_t, int32_t>(
      "slct.u32.s32 %d, %a, %b, %c;", w, w, {-1, 0, 1},
      [](uint32_t a, uint32_t b, int32_t c) { return c >= 0 ? a : b; });
  check_pairs<uint32_t, uint32_t, uint32_t, float>(
      "slct.u32.f32 %d, %a, %b, %c;", w, w, {-1.0f, -0.0f, 1.0f, NAN},
      [](uint32_t a, uint32_t b, float c) { return c >= 0 ? a : b; });
  check_pairs<uint64_t, uint32_t, uint32_t, uint64_t>(
      "mov.b64 %q0, {%a, %b}; mov.b64 {%t0, %t1}, %q0; mov.b64 %d, {%t1, %t0};", w, w, {0},
      [](uint32_t a, uint32_t b, uint64_t) { return uint64_t{a} << 32 | b; });
  check_pairs<uint32_t, uint32_t>("mov.b32 {%h0, %h1}, %a; mov.b32 %d, {%h1, %h0};", w, {0}, {0},
                                  [](uint32_t a, uint32_t, uint32_t) { return a >> 16 | a << 16; });
}

TEST(Video, PartsOfWords) {
  const auto w = integer_values<uint32_t>();
  const auto parts = [](uint32_t a, uint32_t b, uint32_t bits,
                        const std::function<uint32_t(uint32_t, uint32_t)>& f) {
    const uint32_t field = (1u << bits) - 1;
    uint32_t r = 0;
    for (uint32_t k = 0; k < 32; k += bits) r |= (f(a >> k & field, b >> k & field) & field) << k;
    return r;
  };
  check_pairs<uint32_t, uint32_t>(
      "vabsdiff4.u32.u32.u32 %d, %a, %b, %c;", w, w, w, [&](uint32_t a, uint32_t b, uint32_t) {
        return parts(a, b, 8, [](uint32_t x, uint32_t y) { return x < y ? y - x : x - y; });
      });
  check_pairs<uint32_t, uint32_t>(
      "vabsdiff4.u32.u32.u32.add %d, %a, %b, %c;", w, w, w, [&](uint32_t a, uint32_t b, uint32_t c) {
        for (int k = 0; k < 32; k += 8)
          c += static_cast<uint32_t>(
              std::abs(static_cast<int>(a >> k & 0xff) - static_cast<int>(b >> k & 0xff)));
        return c;
      });
  check_pairs<uint32_t, uint32_t>(
      "vadd2.s32.s32.s32.sat %d, %a, %b, %c;", w, w, w, [&](uint32_t a, uint32_t b, uint32_t) {
        return parts(a, b, 16, [](uint32_t x, uint32_t y) {
          return static_cast<uint32_t>(
              std::clamp(static_cast<int16_t>(x) + static_cast<int16_t>(y), -32768, 32767));
        });
      });
  check_pairs<uint32_t, uint32_t>(
      "vset4.u32.u32.ge %d, %a, %b, %c;", w, w, w, [&](uint32_t a, uint32_t b, uint32_t) {
        return parts(a, b, 8, [](uint32_t x, uint32_t y) { return x >= y ? 1u : 0u; });
      });
}

TEST(Video, WholeWords) {
  const auto s = integer_values<int32_t>();
  const auto clamp = [](int64_t v) { return std::clamp<int64_t>(v, INT32_MIN, INT32_MAX); };
  check_pairs<int32_t, int32_t>("vadd.s32.s32.s32.sat.max %d, %a, %b, %c;", s, s, s,
                                [&](int32_t a, int32_t b, int32_t c) {
                                  return static_cast<int32_t>(std::max<int64_t>(clamp(int64_t{a} + b), c));
                                });
  check_pairs<int32_t, int32_t>(
      "vmad.s32.s32.s32.shr7 %d, %a, %b, %c;", {1, -5, 300, 70000}, {7, -9, 12345}, {0, 1000, -77},
      [](int32_t a, int32_t b, int32_t c) { return static_cast<int32_t>((int64_t{a} * b + c) >> 7); });
}

}  // namespace
}  // namespace tessera::softgpu::exec
