// cuda_bf16.h: every pattern converted both ways, arithmetic alone and in pairs, integers, comparisons,
// functions and atomics, against the same in double rounded once.
#include <cuda_bf16.h>

#include <algorithm>

#include "cuda_check.h"

namespace {

double value_of(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value;
  memcpy(&value, &wide, sizeof(value));
  return value;
}

// To nearest even, from a double: once, whatever lies between.
uint16_t rounded(double value) {
  if (std::isnan(value)) return 0x7fff;
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  if (std::isinf(magnitude)) return sign | 0x7f80;
  int exponent;
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent - 1, -126);
  const double steps = std::nearbyint(std::ldexp(magnitude, 7 - exponent));
  const int code = (exponent + 126) * 128 + static_cast<int>(steps);
  return static_cast<uint16_t>(sign | std::min(code, 0x7f80));
}

bool same(uint16_t got, uint16_t want) {
  const bool nan = std::isnan(value_of(want));
  return nan ? std::isnan(value_of(got)) : got == want;
}

__global__ void round_trip(unsigned* wrong) {
  const unsigned bits = blockIdx.x * blockDim.x + threadIdx.x;
  const __nv_bfloat16 b = __ushort_as_bfloat16(static_cast<unsigned short>(bits));
  const float f = __bfloat162float(b);
  const bool nan = (bits & 0x7fff) > 0x7f80;
  bool right = nan ? isnan(f) && __hisnan(b) : __float_as_uint(f) == bits << 16;
  if (!nan) right = right && __bfloat16_as_ushort(__float2bfloat16(f)) == bits;
  if (!right) atomicAdd(wrong, 1u);
}

enum Operation {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFused,
  kNegate,
  kMinimum,
  kMaximum,
  kRoot,
  kOperations
};

__global__ void arithmetic(const __nv_bfloat16* a, const __nv_bfloat16* b, const __nv_bfloat16* c,
                           __nv_bfloat16* out, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  out[kAdd * count + i] = a[i] + b[i];
  out[kSubtract * count + i] = a[i] - b[i];
  out[kMultiply * count + i] = a[i] * b[i];
  out[kDivide * count + i] = a[i] / b[i];
  out[kFused * count + i] = __hfma(a[i], b[i], c[i]);
  out[kNegate * count + i] = -a[i];
  out[kMinimum * count + i] = __hmin(a[i], b[i]);
  out[kMaximum * count + i] = __hmax(a[i], b[i]);
  out[kRoot * count + i] = hsqrt(__habs(a[i]));
}

__global__ void arithmetic_pairs(const __nv_bfloat162* a, const __nv_bfloat162* b, const __nv_bfloat162* c,
                                 __nv_bfloat162* out, int pairs) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= pairs) return;
  out[kAdd * pairs + i] = a[i] + b[i];
  out[kSubtract * pairs + i] = a[i] - b[i];
  out[kMultiply * pairs + i] = a[i] * b[i];
  out[kDivide * pairs + i] = a[i] / b[i];
  out[kFused * pairs + i] = __hfma2(a[i], b[i], c[i]);
  out[kNegate * pairs + i] = -a[i];
  out[kMinimum * pairs + i] = __hmin2(a[i], b[i]);
  out[kMaximum * pairs + i] = __hmax2(a[i], b[i]);
  out[kRoot * pairs + i] = h2sqrt(__habs2(a[i]));
}

double reference(int operation, double a, double b, double c) {
  switch (operation) {
    case kAdd:
      return a + b;
    case kSubtract:
      return a - b;
    case kMultiply:
      return a * b;
    case kDivide:
      return a / b;
    case kFused:
      return a * b + c;  // exact in double but for far-apart terms, which the inputs avoid
    case kNegate:
      return -a;
    case kMinimum:
      return std::min(a, b);
    case kMaximum:
      return std::max(a, b);
    default:
      return std::sqrt(std::fabs(a));
  }
}

void check_arithmetic() {
  constexpr int kCount = 8192;
  check::Random random(17);
  std::vector<__nv_bfloat16> a, b, c;
  for (int i = 0; i < kCount; ++i) {
    for (auto* list : {&a, &b, &c}) list->push_back(__nv_bfloat16(static_cast<float>(random.uniform(-8, 8))));
  }
  const check::DeviceArray<__nv_bfloat16> device_a(a), device_b(b), device_c(c), out(kOperations * kCount);
  for (int pairs = 0; pairs < 2; ++pairs) {
    if (pairs == 0) {
      arithmetic<<<check::blocks_for(kCount, 256), 256>>>(device_a.get(), device_b.get(), device_c.get(),
                                                          out.get(), kCount);
    } else {
      const auto two = [](__nv_bfloat16* p) { return reinterpret_cast<__nv_bfloat162*>(p); };
      arithmetic_pairs<<<check::blocks_for(kCount / 2, 256), 256>>>(
          two(device_a.get()), two(device_b.get()), two(device_c.get()), two(out.get()), kCount / 2);
    }
    CUDA_CHECK_KERNEL();
    const std::vector<__nv_bfloat16> got = out.download();
    for (int operation = 0; operation < kOperations; ++operation) {
      for (int i = 0; i < kCount; ++i) {
        const auto bits = [](__nv_bfloat16 v) { return __bfloat16_as_ushort(v); };
        const double exact =
            reference(operation, value_of(bits(a[i])), value_of(bits(b[i])), value_of(bits(c[i])));
        const uint16_t have = bits(got[operation * kCount + i]);
        // Quotients and roots pass through an approximation in f32.
        const bool loose = operation == kDivide || operation == kRoot;
        const bool near = loose && std::abs(static_cast<int>(have) - static_cast<int>(rounded(exact))) <= 1;
        REQUIRE(near || same(have, rounded(exact)), "operation %d of %g, %g, %g: %#x, not %#x", operation,
                value_of(bits(a[i])), value_of(bits(b[i])), value_of(bits(c[i])), have, rounded(exact));
      }
    }
  }
}

// Conversions with integers and doubles, comparisons, rounding to integral values.
__global__ void conversions(const int* in, double* out) {
  const int i = threadIdx.x, value = in[i];
  const __nv_bfloat16 b = __int2bfloat16_rn(value);
  out[i * 8 + 0] = __bfloat162float(b);
  out[i * 8 + 1] = __bfloat162int_rz(b * __float2bfloat16(0.75f));
  out[i * 8 + 2] = __bfloat162float(__int2bfloat16_rd(value));
  out[i * 8 + 3] = __bfloat162float(__ll2bfloat16_ru(value));
  out[i * 8 + 4] = __bfloat162float(__double2bfloat16(value * 1.25));
  out[i * 8 + 5] = __bfloat162float(hfloor(b * __float2bfloat16(0.25f)));
  out[i * 8 + 6] = b < __float2bfloat16(0.0f) ? 1 : 0;
  out[i * 8 + 7] = __bfloat162float(__float2bfloat16_rz(static_cast<float>(value) * 1.001f));
}

// The neighbours of `value` among bfloat16 numbers, or itself.
double directed(double value, int direction) {
  const uint16_t nearest = rounded(value);
  const double got = value_of(nearest);
  if (got == value || (direction > 0) == (got > value)) return got;
  const int step = (got < 0) == (direction > 0) ? -1 : 1;
  return value_of(static_cast<uint16_t>(nearest + step));
}

void check_conversions() {
  constexpr unsigned kCount = 256;
  std::vector<int> in(kCount);
  for (unsigned i = 0; i < kCount; ++i) in[i] = static_cast<int>(i * 7919 % 100003) - 50000;
  const check::DeviceArray<int> device(in);
  const check::DeviceArray<double> out(8 * kCount);
  conversions<<<1, kCount>>>(device.get(), out.get());
  CUDA_CHECK_KERNEL();
  const std::vector<double> got = out.download();
  for (unsigned i = 0; i < kCount; ++i) {
    const double v = in[i], b = value_of(rounded(v)), f = static_cast<float>(in[i]) * 1.001f;
    const double want[8] = {b,
                            std::trunc(value_of(rounded(b * 0.75))),
                            directed(v, -1),
                            directed(v, 1),
                            value_of(rounded(v * 1.25)),
                            std::floor(value_of(rounded(b * 0.25))),
                            v < 0 ? 1.0 : 0.0,
                            directed(f, f < 0 ? 1 : -1)};
    for (int k = 0; k < 8; ++k)
      REQUIRE(got[i * 8 + k] == want[k], "conversion %d of %g: %g, not %g", k, v, got[i * 8 + k], want[k]);
  }
}

__global__ void functions(const float* in, float* out) {
  const int i = threadIdx.x;
  const __nv_bfloat16 x = __float2bfloat16(in[i]);
  out[i * 6 + 0] = __bfloat162float(hexp(x));
  out[i * 6 + 1] = __bfloat162float(hlog(x));
  out[i * 6 + 2] = __bfloat162float(hsin(x));
  out[i * 6 + 3] = __bfloat162float(hcos(x));
  out[i * 6 + 4] = __bfloat162float(hrsqrt(x));
  out[i * 6 + 5] = __bfloat162float(hexp2(x));
}

void check_functions() {
  constexpr unsigned kCount = 256;
  std::vector<float> in;
  for (unsigned i = 0; i < kCount; ++i)
    in.push_back(static_cast<float>(value_of(rounded(0.05 + i * 0.0171))));
  const check::DeviceArray<float> device(in), out(6 * kCount);
  functions<<<1, kCount>>>(device.get(), out.get());
  CUDA_CHECK_KERNEL();
  const std::vector<float> got = out.download();
  std::vector<double> want;
  for (const float x : in) {
    for (const double exact : {std::exp(double{x}), std::log(double{x}), std::sin(double{x}),
                               std::cos(double{x}), 1 / std::sqrt(double{x}), std::exp2(double{x})})
      want.push_back(exact);
  }
  check::require_near(got, want, 0x1p-7, 0x1p-9, "functions");  // two units in the last place
}

__global__ void sums(__nv_bfloat16* one, __nv_bfloat162* two) {
  atomicAdd(one, __float2bfloat16(0.5f));
  atomicAdd(two, __floats2bfloat162_rn(1.0f, -2.0f));
}

void check_atomics() {
  check::DeviceArray<__nv_bfloat16> one(1);
  check::DeviceArray<__nv_bfloat162> two(1);
  one.fill(0);
  two.fill(0);
  sums<<<2, 48>>>(one.get(), two.get());
  CUDA_CHECK_KERNEL();
  const float a = __bfloat162float(one.download()[0]);
  const __nv_bfloat162 b = two.download()[0];
  REQUIRE(a == 48 && __low2float(b) == 96 && __high2float(b) == -192, "sums of %g, %g, %g", a, __low2float(b),
          __high2float(b));
}

}  // namespace

int main() {
  check::DeviceArray<unsigned> wrong(1);
  wrong.fill(0);
  round_trip<<<256, 256>>>(wrong.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(wrong.download()[0] == 0, "%u of 65536 patterns are wrong", wrong.download()[0]);
  check_arithmetic();
  check_conversions();
  check_functions();
  check_atomics();
  return check::pass("65536 patterns, %d operations alone and in pairs, conversions, functions, atomics",
                     static_cast<int>(kOperations));
}
