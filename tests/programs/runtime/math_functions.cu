// CUDA's math library against the host's, in units in the last place. The bounds are those of the CUDA C++
// Programming Guide's appendix on mathematical functions, plus one for the host's own error.
#include <cfloat>

#include "cuda_check.h"

namespace {

struct Domain {
  double low, high;
};

// X(name, float bound, double bound, domain low, domain high)
#define UNARY_FUNCTIONS(X)    \
  X(sqrt, 1, 1, 0, 1e4)       \
  X(cbrt, 2, 2, -100, 100)    \
  X(exp, 3, 2, -20, 20)       \
  X(exp2, 3, 2, -20, 20)      \
  X(exp10, 3, 2, -9, 9)       \
  X(expm1, 2, 2, -5, 5)       \
  X(log, 2, 2, 1e-5, 1e5)     \
  X(log2, 2, 2, 1e-5, 1e5)    \
  X(log10, 3, 2, 1e-5, 1e5)   \
  X(log1p, 2, 2, -0.9, 10)    \
  X(sin, 3, 3, -50, 50)       \
  X(cos, 3, 3, -50, 50)       \
  X(tan, 5, 3, -1.5, 1.5)     \
  X(asin, 3, 3, -1, 1)        \
  X(acos, 3, 3, -1, 1)        \
  X(atan, 3, 3, -20, 20)      \
  X(sinh, 4, 3, -5, 5)        \
  X(cosh, 3, 2, -5, 5)        \
  X(tanh, 3, 2, -5, 5)        \
  X(asinh, 4, 4, -10, 10)     \
  X(acosh, 5, 4, 1.01, 10)    \
  X(atanh, 4, 3, -0.99, 0.99) \
  X(erf, 3, 3, -4, 4)         \
  X(erfc, 5, 6, -2, 4)        \
  X(tgamma, 7, 11, 0.5, 8)    \
  X(floor, 0, 0, -1e3, 1e3)   \
  X(ceil, 0, 0, -1e3, 1e3)    \
  X(trunc, 0, 0, -1e3, 1e3)   \
  X(round, 0, 0, -1e3, 1e3)   \
  X(rint, 0, 0, -1e3, 1e3)

#define BINARY_FUNCTIONS(X)    \
  X(pow, 5, 3, 0.01, 20)       \
  X(atan2, 4, 3, 0.01, 20)     \
  X(hypot, 4, 3, 0.01, 20)     \
  X(fmod, 0, 0, 0.01, 20)      \
  X(remainder, 0, 0, 0.01, 20) \
  X(fdim, 1, 1, 0.01, 20)      \
  X(fmin, 0, 0, 0.01, 20)      \
  X(copysign, 0, 0, 0.01, 20)

enum Function {
#define X(name, ...) k_##name,
  UNARY_FUNCTIONS(X) BINARY_FUNCTIONS(X)
#undef X
};

// The overloads in the global namespace take float and double; on the host glibc's are the reference, in more
// precision than T has: double for float, long double for double.
template <Function kFunction, typename T>
__host__ __device__ T evaluate(T a, T b) {
  switch (kFunction) {
#define X(name, ...) \
  case k_##name:     \
    return ::name(a);
    UNARY_FUNCTIONS(X)
#undef X
#define X(name, ...) \
  case k_##name:     \
    return ::name(a, b);
    BINARY_FUNCTIONS(X)
#undef X
  }
  return T(0);
}

template <Function kFunction, typename T>
__global__ void apply(const T* a, const T* b, T* out, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) out[i] = evaluate<kFunction, T>(a[i], b[i]);
}

long double wide_reference(Function function, long double a, long double b) {
  switch (function) {
#define X(name, ...) \
  case k_##name:     \
    return ::name##l(a);
    UNARY_FUNCTIONS(X)
#undef X
#define X(name, ...) \
  case k_##name:     \
    return ::name##l(a, b);
    BINARY_FUNCTIONS(X)
#undef X
  }
  return 0;
}

// The distance in ulps of T at the reference.
template <typename T>
double ulps(T got, long double want) {
  int exponent;
  std::frexp(want, &exponent);
  const int digits = sizeof(T) == 4 ? FLT_MANT_DIG : DBL_MANT_DIG;
  const int smallest = sizeof(T) == 4 ? FLT_MIN_EXP : DBL_MIN_EXP;
  const long double ulp = std::ldexp(1.0L, (exponent > smallest ? exponent : smallest) - digits);
  return static_cast<double>(std::fabs(static_cast<long double>(got) - want) / ulp);
}

double worst_ulps = 0;
int functions = 0;

template <Function kFunction, typename T>
void check_function(const char* name, double bound, Domain domain) {
  constexpr int kCount = 512;
  const std::vector<T> a = check::random_reals<T>(kCount, 61 + kFunction, domain.low, domain.high);
  const std::vector<T> b = check::random_reals<T>(kCount, 161 + kFunction, -4, 4);
  check::DeviceArray<T> device_a(a), device_b(b), device_out(kCount);
  apply<kFunction, T><<<kCount / 128, 128>>>(device_a.get(), device_b.get(), device_out.get(), kCount);
  CUDA_CHECK_KERNEL();
  const std::vector<T> got = device_out.download();
  for (int i = 0; i < kCount; ++i) {
    const long double want = wide_reference(kFunction, a[i], b[i]);
    const double error = ulps(got[i], want);
    // Rounding the exact value to T is half an ulp by itself.
    REQUIRE(error <= bound + 0.5, "%s<%s>(%.9g, %.9g) is %.17g, not %.17Lg: %.2f ulp", name,
            sizeof(T) == 4 ? "float" : "double", double(a[i]), double(b[i]), double(got[i]), want, error);
    if (error > worst_ulps) worst_ulps = error;
  }
  ++functions;
}

struct Special {
  float quotient, reciprocal, reciprocal_root, fused, fast_exp, fast_log, fast_sin, fast_divide, saturated;
  double fused_double, root_up, root_down;
  float sine, cosine, fraction, mantissa, power, scaled, erf_inverse, normal, sine_pi;
  int exponent, quotient_bits, to_int_up, to_int_down, to_int_near, classes;
  long long wide;
};

__global__ void special(float a, float b, Special* out) {
  Special s = {};
  s.quotient = __fdiv_rn(a, b);
  s.reciprocal = __frcp_rn(b);
  s.reciprocal_root = rsqrtf(b);
  s.fused = fmaf(a, b, -1.0f);
  s.fast_exp = __expf(a);
  s.fast_log = __logf(b);
  s.fast_sin = __sinf(a);
  s.fast_divide = __fdividef(a, b);
  s.saturated = __saturatef(b);
  s.fused_double = fma(double(a), double(b), 1e-20);
  s.root_up = __dsqrt_ru(double(b));
  s.root_down = __dsqrt_rd(double(b));
  sincosf(a, &s.sine, &s.cosine);
  float whole;
  s.fraction = modff(b, &whole);
  s.mantissa = frexpf(b, &s.exponent);
  s.power = __powf(b, 2.5f);
  s.scaled = ldexpf(a, 5);
  s.erf_inverse = erfinvf(a);
  s.normal = normcdff(a);
  s.sine_pi = sinpif(a);
  (void)remquof(b, a, &s.quotient_bits);
  s.to_int_up = __float2int_ru(b);
  s.to_int_down = __float2int_rd(-b);
  s.to_int_near = __float2int_rn(b);
  const float zero = a - a, infinity = 1 / zero, nan = zero / zero;
  s.classes = isnan(nan) | isinf(infinity) << 1 | isfinite(a) << 2 | (nan != nan) << 3 | signbit(-zero) << 4 |
              (fmaxf(nan, a) == a) << 5 | (1e-41f > 0) << 6;
  s.wide = __double2ll_rz(1e15 + double(b));
  *out = s;
}

void near(double got, double want, double relative, const char* what) {
  REQUIRE(std::fabs(got - want) <= relative * std::fabs(want), "%s is %.9g, not %.9g", what, got, want);
}

void check_special() {
  const float a = 0.3f, b = 2.7f;
  check::DeviceArray<Special> out(1);
  special<<<1, 1>>>(a, b, out.get());
  CUDA_CHECK_KERNEL();
  const Special s = out.download()[0];
  int exponent, quotient;
  const float mantissa = std::frexp(b, &exponent);
  (void)std::remquo(b, a, &quotient);
  REQUIRE(s.quotient == a / b && s.reciprocal == 1 / b, "correctly rounded division");
  REQUIRE(s.fused == std::fma(a, b, -1.0f), "fmaf is %.9g", s.fused);
  REQUIRE(s.fused_double == std::fma(double(a), double(b), 1e-20), "fma is %.17g", s.fused_double);
  REQUIRE(s.root_up > s.root_down && s.root_up == std::nextafter(s.root_down, 10.0), "directed roots");
  REQUIRE(s.mantissa == mantissa && s.exponent == exponent && s.fraction == b - 2, "frexp, modf");
  REQUIRE(s.scaled == a * 32 && s.saturated == 1.0f, "ldexp, saturate");
  REQUIRE((s.quotient_bits & 7) == (quotient & 7), "remquo is %d, not %d", s.quotient_bits, quotient);
  REQUIRE(s.to_int_up == 3 && s.to_int_down == -3 && s.to_int_near == 3, "float to int");
  REQUIRE(s.wide == 1'000'000'000'000'002, "double to long long is %lld", s.wide);
  REQUIRE(s.classes == 0x7f, "classification is %#x", s.classes);
  near(s.reciprocal_root, 1 / std::sqrt(double(b)), 3e-7, "rsqrtf");
  near(s.sine, std::sin(double(a)), 2e-7, "sincosf's sine");
  near(s.cosine, std::cos(double(a)), 2e-7, "sincosf's cosine");
  near(s.fast_exp, std::exp(double(a)), 1e-6, "__expf");
  near(s.fast_log, std::log(double(b)), 1e-6, "__logf");
  near(s.fast_sin, std::sin(double(a)), 3e-6, "__sinf");  // absolute error 2^-21.41
  near(s.fast_divide, double(a) / b, 3e-7, "__fdividef");
  near(s.power, std::pow(double(b), 2.5), 2e-6, "__powf");
  near(std::erf(double(s.erf_inverse)), a, 1e-6, "erfinvf");
  near(s.normal, std::erfc(-double(a) / std::sqrt(2.0)) / 2, 1e-6, "normcdff");
  near(s.sine_pi, std::sin(M_PI * double(a)), 5e-7, "sinpif");
}

}  // namespace

int main() {
#define X(name, float_bound, double_bound, low, high)               \
  check_function<k_##name, float>(#name, float_bound, {low, high}); \
  check_function<k_##name, double>(#name, double_bound, {low, high});
  UNARY_FUNCTIONS(X)
  BINARY_FUNCTIONS(X)
#undef X
  check_special();
  return check::pass("%d functions within their bounds, worst %.2f ulp", functions, worst_ulps);
}
