// cuda_fp8.h: every code of both formats read back, every half rounded to them, pairs and quads, against the
// formats' definitions in double.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <algorithm>

#include "cuda_check.h"

namespace {

struct Format {
  int mantissa_bits, bias;
  unsigned largest;  // code of the largest finite value
  bool infinities;
};
constexpr Format kE4M3{3, 7, 0x7e, false};
constexpr Format kE5M2{2, 15, 0x7b, true};

// NaN for codes that are none, infinities as they are.
double value_of(const Format& f, unsigned code) {
  const int mantissa = static_cast<int>(code & ((1u << f.mantissa_bits) - 1));
  const int exponent = static_cast<int>((code & 0x7f) >> f.mantissa_bits);
  const double sign = code & 0x80 ? -1 : 1;
  if ((code & 0x7f) > f.largest) return f.infinities && mantissa == 0 ? sign * INFINITY : NAN;
  const int hidden = exponent != 0 ? 1 << f.mantissa_bits : 0;
  return sign * std::ldexp(hidden + mantissa, std::max(exponent, 1) - f.bias - f.mantissa_bits);
}

// To nearest, even codes where that is a tie; the largest value where the number is larger; 0x7f for NaN.
unsigned code_of(const Format& f, double value) {
  if (std::isnan(value)) return 0x7f;
  const unsigned sign = std::signbit(value) ? 0x80 : 0;
  const double magnitude = std::min(std::fabs(value), 2 * value_of(f, f.largest));
  unsigned best = 0;
  for (unsigned code = 1; code <= f.largest; ++code) {
    const double to_best = std::fabs(value_of(f, best) - magnitude);
    const double to_this = std::fabs(value_of(f, code) - magnitude);
    if (to_this < to_best || (to_this == to_best && code % 2 == 0)) best = code;
  }
  return sign | best;
}

template <typename F8>
__global__ void decode(float* as_float, unsigned short* as_half) {
  F8 value;
  value.__x = static_cast<__nv_fp8_storage_t>(threadIdx.x);
  as_float[threadIdx.x] = static_cast<float>(value);
  as_half[threadIdx.x] = __half_as_ushort(static_cast<__half>(value));
}

// One thread per pattern of a half, which is also taken as a float and the upper half of a bfloat16's range.
template <typename F8>
__global__ void encode(unsigned char* from_half, unsigned char* from_float, unsigned char* from_bfloat) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  const __half half = __ushort_as_half(static_cast<unsigned short>(i));
  from_half[i] = F8(half).__x;
  from_float[i] = F8(__half2float(half) * 1.0009765625f).__x;  // between halves
  from_bfloat[i] = F8(__ushort_as_bfloat16(static_cast<unsigned short>(i))).__x;
}

double half_value(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31), mantissa = static_cast<int>(bits & 1023);
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  return sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24));
}
double bfloat_value(unsigned bits) {
  const uint32_t wide = bits << 16;
  float value;
  memcpy(&value, &wide, sizeof(value));
  return value;
}

template <typename F8>
void check_format(const Format& f, const char* what) {
  const check::DeviceArray<float> floats(256);
  const check::DeviceArray<unsigned short> halves(256);
  decode<F8><<<1, 256>>>(floats.get(), halves.get());
  CUDA_CHECK_KERNEL();
  const auto got_floats = floats.download();
  const auto got_halves = halves.download();
  for (unsigned code = 0; code < 256; ++code) {
    const double want = value_of(f, code), got = got_floats[code], half = half_value(got_halves[code]);
    const bool right = std::isnan(want) ? std::isnan(got) && std::isnan(half) : got == want && half == want;
    REQUIRE(right, "%s: code %#x is %g and %g, not %g", what, code, got, half, want);
  }

  const check::DeviceArray<unsigned char> from_half(65536), from_float(65536), from_bfloat(65536);
  encode<F8><<<256, 256>>>(from_half.get(), from_float.get(), from_bfloat.get());
  CUDA_CHECK_KERNEL();
  const auto by_half = from_half.download(), by_float = from_float.download(),
             by_bfloat = from_bfloat.download();
  for (unsigned i = 0; i < 65536; ++i) {
    const double half = half_value(i);
    const auto scaled = static_cast<double>(static_cast<float>(half) * 1.0009765625f);
    REQUIRE(by_half[i] == code_of(f, half), "%s of half %g: %#x, not %#x", what, half, by_half[i],
            code_of(f, half));
    REQUIRE(by_float[i] == code_of(f, scaled), "%s of %g: %#x, not %#x", what, scaled, by_float[i],
            code_of(f, scaled));
    const double wide = bfloat_value(i);
    REQUIRE(by_bfloat[i] == code_of(f, wide), "%s of bfloat16 %g: %#x, not %#x", what, wide, by_bfloat[i],
            code_of(f, wide));
  }
}

// A dot product in 8-bit floats, four at a time; the values are exact, so the sum is.
__global__ void dot(const __nv_fp8x4_e4m3* a, const __nv_fp8x4_e5m2* b, float* sum) {
  const float4 x = static_cast<float4>(a[threadIdx.x]), y = static_cast<float4>(b[threadIdx.x]);
  atomicAdd(sum, x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w);
}

void check_quads() {
  std::vector<__nv_fp8x4_e4m3> a;
  std::vector<__nv_fp8x4_e5m2> b;
  float want = 0;
  for (int i = 0; i < 64; ++i) {
    const float x = static_cast<float>(i % 8), y = static_cast<float>(i % 5);
    a.emplace_back(make_float4(x, 0.5f, -x, 1));
    b.emplace_back(make_float4(y, 4, 1, -y));
    want += x * y + 2 - x - y;
  }
  const check::DeviceArray<__nv_fp8x4_e4m3> device_a(a);
  const check::DeviceArray<__nv_fp8x4_e5m2> device_b(b);
  check::DeviceArray<float> sum(1);
  sum.fill(0);
  dot<<<1, 64>>>(device_a.get(), device_b.get(), sum.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(sum.download()[0] == want, "a dot product of %g, not %g", sum.download()[0], want);
}

}  // namespace

int main() {
  check_format<__nv_fp8_e4m3>(kE4M3, "e4m3");
  check_format<__nv_fp8_e5m2>(kE5M2, "e5m2");
  check_quads();
  return check::pass("e4m3 and e5m2: 256 codes each, 3 x 65536 values rounded to them, a dot product");
}
