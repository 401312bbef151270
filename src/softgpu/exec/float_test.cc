// Floating point against the host's IEEE arithmetic, in all rounding modes; approximations against double.
#include <cfenv>
#include <cmath>

#include "softgpu/exec/testing/elementwise.h"

namespace tessera::softgpu::exec {
namespace {

float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

// The operation in a rounding mode; volatile keeps the compiler from evaluating it early.
template <class T>
T in_mode(int mode, const std::function<T(volatile T&, volatile T&, volatile T&)>& f, T a, T b, T c) {
  volatile T x = a, y = b, z = c;
  std::fesetround(mode);
  volatile T r = f(x, y, z);
  std::fesetround(FE_TONEAREST);
  return r;
}

template <class T>
void check_rounded(const std::string& type, const std::vector<T>& values) {
  const struct {
    const char* name;
    int mode;
  } modes[] = {{"rn", FE_TONEAREST}, {"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};
  const struct {
    const char* name;
    const char* operands;
    std::function<T(volatile T&, volatile T&, volatile T&)> f;
  } operations[] = {
      {"add", "%a, %b", [](volatile T& a, volatile T& b, volatile T&) { return a + b; }},
      {"sub", "%a, %b", [](volatile T& a, volatile T& b, volatile T&) { return a - b; }},
      {"mul", "%a, %b", [](volatile T& a, volatile T& b, volatile T&) { return a * b; }},
      {"div", "%a, %b", [](volatile T& a, volatile T& b, volatile T&) { return a / b; }},
      {"fma", "%a, %b, %c",
       [](volatile T& a, volatile T& b, volatile T& c) { return std::fma(T{a}, T{b}, T{c}); }},
      {"sqrt", "%a", [](volatile T& a, volatile T&, volatile T&) { return std::sqrt(T{a}); }},
      {"rcp", "%a", [](volatile T& a, volatile T&, volatile T&) { return T{1} / a; }},
  };
  for (const auto& mode : modes) {
    for (const auto& operation : operations) {
      check_pairs<T, T>(
          std::string(operation.name) + "." + mode.name + "." + type + " %d, " + operation.operands + ";",
          values, values, values, [&](T a, T b, T c) { return in_mode<T>(mode.mode, operation.f, a, b, c); });
    }
  }
}

TEST(Float, F32InAllRoundingModes) { check_rounded<float>("f32", float_values()); }
TEST(Float, F64InAllRoundingModes) { check_rounded<double>("f64", double_values()); }

TEST(Float, FlushingTakesSubnormalsAsZeroAndMakesNone) {
  const auto v = float_values();
  check_pairs<float, float>("add.ftz.f32 %d, %a, %b;", v, v, v,
                            [](float a, float b, float) { return flush(flush(a) + flush(b)); });
  check_pairs<float, float>("mul.ftz.f32 %d, %a, %b;", v, v, v,
                            [](float a, float b, float) { return flush(flush(a) * flush(b)); });
  check_pairs<float, float>("fma.rn.ftz.f32 %d, %a, %b, %c;", v, v, v, [](float a, float b, float c) {
    return flush(std::fma(flush(a), flush(b), flush(c)));
  });
  check_pairs<float, float>("div.rn.ftz.f32 %d, %a, %b;", v, v, v,
                            [](float a, float b, float) { return flush(flush(a) / flush(b)); });
  check_pairs<uint32_t, float, float, float>(
      "setp.eq.ftz.f32 %p1, %a, %b; selp.u32 %d, 1, 0, %p1;", v, v, v,
      [](float a, float b, float) { return static_cast<uint32_t>(flush(a) == flush(b)); });
}

TEST(Float, SaturationClampsToTheUnitInterval) {
  const auto v = float_values();
  const auto sat = [](float r) { return r > 0 ? std::min(r, 1.0f) : 0.0f; };
  check_pairs<float, float>("add.sat.f32 %d, %a, %b;", v, v, v,
                            [&](float a, float b, float) { return sat(a + b); });
  check_pairs<float, float>("fma.rn.sat.f32 %d, %a, %b, %c;", v, v, v,
                            [&](float a, float b, float c) { return sat(std::fma(a, b, c)); });
  check_pairs<float, float>("cvt.sat.f32.f32 %d, %a;", v, {0}, v,
                            [&](float a, float, float) { return sat(a); });
}

TEST(Float, MinAndMaxPreferNumbersAndOrderZeros) {
  const auto v = float_values();
  const auto min = [](float a, float b) {
    if (std::isnan(a)) return b;
    if (std::isnan(b)) return a;
    return a < b || (a == b && std::signbit(a)) ? a : b;
  };
  check_pairs<float, float>("min.f32 %d, %a, %b;", v, v, v,
                            [&](float a, float b, float) { return min(a, b); });
  check_pairs<float, float>("max.f32 %d, %a, %b;", v, v, v,
                            [&](float a, float b, float) { return -min(-a, -b); });
  check_pairs<float, float>("min.NaN.f32 %d, %a, %b;", v, v, v, [&](float a, float b, float) {
    return std::isnan(a) || std::isnan(b) ? NAN : min(a, b);
  });
  check_pairs<float, float>("min.xorsign.abs.f32 %d, %a, %b;", v, v, v, [&](float a, float b, float) {
    const float r = min(std::fabs(a), std::fabs(b));
    return std::copysign(r, std::signbit(a) != std::signbit(b) ? -1.0f : 1.0f);
  });
  const auto d = double_values();
  check_pairs<double, double>("max.f64 %d, %a, %b;", d, d, d, [](double a, double b, double) {
    if (std::isnan(a)) return b;
    if (std::isnan(b)) return a;
    return a > b || (a == b && !std::signbit(a)) ? a : b;
  });
}

TEST(Float, SignsAndTests) {
  const auto v = float_values();
  check_pairs<float, float>("neg.f32 %d, %a;", v, {0}, v, [](float a, float, float) { return -a; });
  check_pairs<float, float>("abs.f32 %d, %a;", v, {0}, v, [](float a, float, float) { return std::fabs(a); });
  check_pairs<float, float>("copysign.f32 %d, %a, %b;", v, v, v,
                            [](float a, float b, float) { return std::copysign(b, a); });
  check_pairs<uint32_t, float, float, float>(
      "testp.subnormal.f32 %p1, %a; testp.infinite.f32 %p2, %a; or.pred %p1, %p1, %p2; selp.u32 %d, 1, 0, "
      "%p1;",
      v, {0}, v, [](float a, float, float) {
        return static_cast<uint32_t>(std::isinf(a) || std::fpclassify(a) == FP_SUBNORMAL);
      });
}

TEST(Float, ComparisonsOrderedAndUnordered) {
  const auto v = float_values();
  const auto check = [&](const std::string& name, bool unordered,
                         const std::function<bool(float, float)>& holds) {
    check_pairs<uint32_t, float, float, float>(
        "setp." + name + ".f32 %p1, %a, %b; selp.u32 %d, 1, 0, %p1;", v, v, v, [&](float a, float b, float) {
          return static_cast<uint32_t>(std::isnan(a) || std::isnan(b) ? unordered : holds(a, b));
        });
    check_pairs<uint32_t, double, double, double>(
        "setp." + name + ".f64 %p1, %a, %b; selp.u32 %d, 1, 0, %p1;", double_values(),
        {0.0, 1.5, NAN, -INFINITY}, {0}, [&](double a, double b, double) {
          // The lists hold no pair of doubles that differ only beyond float's precision.
          return static_cast<uint32_t>(std::isnan(a) || std::isnan(b) ? unordered
                                       : (a == b || static_cast<float>(a) != static_cast<float>(b))
                                           ? holds(static_cast<float>(a), static_cast<float>(b))
                                       : a < b ? holds(0, 1)
                                               : holds(1, 0));
        });
  };
  for (const bool unordered : {false, true}) {
    const std::string u = unordered ? "u" : "";
    check("eq" + u, unordered, [](float a, float b) { return a == b; });
    check("ne" + u, unordered, [](float a, float b) { return a != b; });
    check("lt" + u, unordered, [](float a, float b) { return a < b; });
    check("le" + u, unordered, [](float a, float b) { return a <= b; });
    check("gt" + u, unordered, [](float a, float b) { return a > b; });
    check("ge" + u, unordered, [](float a, float b) { return a >= b; });
  }
  check("num", false, [](float, float) { return true; });
  check("nan", true, [](float, float) { return false; });
  check_pairs<float, float>("set.lt.f32.f32 %d, %a, %b;", v, v, v,
                            [](float a, float b, float) { return a < b ? 1.0f : 0.0f; });
  check_pairs<uint32_t, float, float, float>("set.geu.u32.f32 %d, %a, %b;", v, v, v,
                                             [](float a, float b, float) { return a < b ? 0u : ~0u; });
}

// Errors are relative, or absolute where the function has zeros and its values are not large.
void check_approximation(const std::string& op, const std::vector<float>& inputs, double bound, bool absolute,
                         const std::function<double(double)>& f) {
  TestMachine machine(elementwise_kernel(op + " %d, %a;", "f32", "f32", "f32", "f32", false));
  ASSERT_TRUE(machine.status().ok()) << machine.status().message();
  const uint32_t n = static_cast<uint32_t>(inputs.size());
  float* d = machine.array<float>(n);
  float* a = machine.array<float>(n);
  std::copy(inputs.begin(), inputs.end(), a);
  ASSERT_EQ(machine.run("k", {(n + 127) / 128}, {128}, Parameters().add(d).add(a).add(a).add(a).add(n)),
            Outcome::kFinished)
      << machine.status().message();
  for (uint32_t i = 0; i < n; ++i) {
    const double expected = f(static_cast<double>(a[i]));
    if (std::isnan(expected) || std::isinf(expected)) {
      EXPECT_TRUE(same_value(d[i], static_cast<float>(expected))) << op << " of " << a[i] << " is " << d[i];
      continue;
    }
    const double error = std::fabs(static_cast<double>(d[i]) - expected) /
                         std::max(std::fabs(expected), absolute ? 1.0 : 1e-37);
    EXPECT_LE(error, bound) << op << " of " << a[i] << " is " << d[i] << ", not " << expected;
  }
}

// Bounds are the manual's for the hardware.
TEST(Float, ApproximationsAreAtLeastAsGoodAsTheHardware) {
  std::vector<float> wide = {0.0f,  -0.0f,  1.0f,    -1.0f,   INFINITY, -INFINITY,   NAN,        1e-30f,
                             1e30f, 127.5f, -126.0f, -130.0f, 128.0f,   0.70710678f, 1.41421354f};
  std::vector<float> angles;
  for (int i = -400; i <= 400; ++i) {
    wide.push_back(static_cast<float>(i) * 0.317f);
    angles.push_back(static_cast<float>(i) * 3.14159265f / 400.0f);
  }
  check_approximation("ex2.approx.f32", wide, std::exp2(-22.5), false,
                      [](double x) { return static_cast<double>(static_cast<float>(std::exp2(x))); });
  check_approximation("lg2.approx.f32", wide, std::exp2(-22.0), true, [](double x) { return std::log2(x); });
  check_approximation("rcp.approx.f32", wide, std::exp2(-23.0), false, [](double x) { return 1 / x; });
  check_approximation("sqrt.approx.f32", wide, std::exp2(-23.0), false,
                      [](double x) { return std::sqrt(x); });
  check_approximation("rsqrt.approx.f32", wide, std::exp2(-22.9), false,
                      [](double x) { return 1 / std::sqrt(x); });
  check_approximation("sin.approx.f32", angles, std::exp2(-20.9), true, [](double x) { return std::sin(x); });
  check_approximation("cos.approx.f32", angles, std::exp2(-20.9), true, [](double x) { return std::cos(x); });
  check_approximation("tanh.approx.f32", wide, std::exp2(-11.0), false,
                      [](double x) { return std::tanh(x); });
  check_approximation("sin.approx.f32", {1e4f, -12345.678f, 1e6f}, std::exp2(-20.0), true,
                      [](double x) { return std::sin(x); });
  check_approximation("cos.approx.f32", {INFINITY, NAN}, 0, true, [](double) { return NAN; });
}

}  // namespace
}  // namespace tessera::softgpu::exec
