// cuda_fp16.h: every conversion, scalar and paired arithmetic, comparisons, a half matrix-vector product.
#include <cuda_fp16.h>

#include <algorithm>

#include "cuda_check.h"

namespace {

// One thread per bit pattern: float(half) must be exact, half(float) must give the pattern back (NaN stays
// NaN).
__global__ void round_trip(unsigned* wrong) {
  const unsigned bits = blockIdx.x * blockDim.x + threadIdx.x;
  const __half h = __ushort_as_half(static_cast<unsigned short>(bits));
  const float f = __half2float(h);
  const unsigned exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float sign = bits >> 15 ? -1.0f : 1.0f;
  bool right;
  if (exponent == 31) {
    right = mantissa ? isnan(f) && __hisnan(h) : f == sign * INFINITY && __hisinf(h);
  } else {
    const float want =
        exponent ? ldexpf(1024 + mantissa, static_cast<int>(exponent) - 25) : ldexpf(mantissa, -24);
    right = f == sign * want;
  }
  if (!(exponent == 31 && mantissa)) right = right && __half_as_ushort(__float2half(f)) == bits;
  if (!right) atomicAdd(wrong, 1u);
}

// Round to nearest even, as the host does it by hand.
uint16_t to_half(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  if (magnitude >= 65520) return sign | 0x7c00;
  int exponent;
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent - 1, -14);                                     // of the leading bit
  const double steps = std::nearbyint(std::ldexp(magnitude, 10 - exponent));  // in units of the last place
  return sign | static_cast<uint16_t>((exponent + 14) * 1024 + static_cast<int>(steps));
}

double from_half(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
  return bits >> 15 ? -magnitude : magnitude;
}

enum Operation {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFused,
  kNegate,
  kAbsolute,
  kMinimum,
  kMaximum,
  kRoot,
  kOperations
};

__global__ void arithmetic(const __half* a, const __half* b, const __half* c, __half* out, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  out[kAdd * count + i] = __hadd(a[i], b[i]);
  out[kSubtract * count + i] = a[i] - b[i];
  out[kMultiply * count + i] = __hmul(a[i], b[i]);
  out[kDivide * count + i] = __hdiv(a[i], b[i]);
  out[kFused * count + i] = __hfma(a[i], b[i], c[i]);
  out[kNegate * count + i] = __hneg(a[i]);
  out[kAbsolute * count + i] = __habs(a[i]);
  out[kMinimum * count + i] = __hmin(a[i], b[i]);
  out[kMaximum * count + i] = __hmax(a[i], b[i]);
  out[kRoot * count + i] = hsqrt(__habs(a[i]));
}

// The same through __half2: two elements a thread.
__global__ void arithmetic_pairs(const __half2* a, const __half2* b, const __half2* c, __half2* out,
                                 int pairs) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= pairs) return;
  out[kAdd * pairs + i] = __hadd2(a[i], b[i]);
  out[kSubtract * pairs + i] = __hsub2(a[i], b[i]);
  out[kMultiply * pairs + i] = __hmul2(a[i], b[i]);
  out[kDivide * pairs + i] = __h2div(a[i], b[i]);
  out[kFused * pairs + i] = __hfma2(a[i], b[i], c[i]);
  out[kNegate * pairs + i] = __hneg2(a[i]);
  out[kAbsolute * pairs + i] = __habs2(a[i]);
  out[kMinimum * pairs + i] =
      __halves2half2(__hlt(__low2half(a[i]), __low2half(b[i])) ? __low2half(a[i]) : __low2half(b[i]),
                     __hlt(__high2half(a[i]), __high2half(b[i])) ? __high2half(a[i]) : __high2half(b[i]));
  out[kMaximum * pairs + i] = __hmax2(a[i], b[i]);
  out[kRoot * pairs + i] = h2sqrt(__habs2(a[i]));
}

double exact(int operation, double a, double b, double c) {
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
      return std::fma(a, b, c);
    case kNegate:
      return -a;
    case kAbsolute:
      return std::fabs(a);
    case kMinimum:
      return std::fmin(a, b);
    case kMaximum:
      return std::fmax(a, b);
    default:
      return std::sqrt(std::fabs(a));
  }
}

// Division and square root are allowed one unit in the last place; the rest is correctly rounded.
void require_results(const std::vector<uint16_t>& got, const std::vector<uint16_t>& a,
                     const std::vector<uint16_t>& b, const std::vector<uint16_t>& c, const char* what) {
  const size_t count = a.size();
  for (int operation = 0; operation < kOperations; ++operation) {
    const int allowed = operation == kDivide || operation == kRoot ? 1 : 0;
    for (size_t i = 0; i < count; ++i) {
      const uint16_t want = to_half(exact(operation, from_half(a[i]), from_half(b[i]), from_half(c[i])));
      const uint16_t have = got[operation * count + i];
      REQUIRE(std::abs(int(want) - int(have)) <= allowed,
              "%s, operation %d on %04x %04x %04x: %04x, not %04x", what, operation, a[i], b[i], c[i], have,
              want);
    }
  }
}

std::vector<uint16_t> random_halves(size_t count, uint64_t seed) {
  std::vector<uint16_t> values(count);
  check::Random random(seed);
  for (uint16_t& value : values) value = to_half(random.uniform(-8, 8));
  return values;
}

void check_arithmetic() {
  constexpr int kCount = 4096;
  const std::vector<uint16_t> a = random_halves(kCount, 91), b = random_halves(kCount, 92),
                              c = random_halves(kCount, 93);
  check::DeviceArray<uint16_t> device_a(a), device_b(b), device_c(c), out(kOperations * kCount);
  arithmetic<<<kCount / 128, 128>>>(
      reinterpret_cast<__half*>(device_a.get()), reinterpret_cast<__half*>(device_b.get()),
      reinterpret_cast<__half*>(device_c.get()), reinterpret_cast<__half*>(out.get()), kCount);
  CUDA_CHECK_KERNEL();
  require_results(out.download(), a, b, c, "half");
  arithmetic_pairs<<<kCount / 256, 128>>>(
      reinterpret_cast<__half2*>(device_a.get()), reinterpret_cast<__half2*>(device_b.get()),
      reinterpret_cast<__half2*>(device_c.get()), reinterpret_cast<__half2*>(out.get()), kCount / 2);
  CUDA_CHECK_KERNEL();
  require_results(out.download(), a, b, c, "half2");
}

// One warp per row: products in half2, sums in float, and an atomic add of halves that counts the rows.
__global__ void matrix_vector(const __half2* matrix, const __half2* x, float* y, int columns,
                              __half2* rows_done) {
  float sum = 0;
  for (int k = threadIdx.x; k < columns / 2; k += 32) {
    const float2 product = __half22float2(__hmul2(matrix[blockIdx.x * columns / 2 + k], x[k]));
    sum += product.x + product.y;
  }
  for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  if (threadIdx.x == 0) {
    y[blockIdx.x] = sum;
    atomicAdd(rows_done, __floats2half2_rn(1.0f, 0.5f));
  }
}

double check_matrix_vector() {
  constexpr int kRows = 96, kColumns = 256;
  const std::vector<uint16_t> matrix = random_halves(kRows * kColumns, 94), x = random_halves(kColumns, 95);
  check::DeviceArray<uint16_t> device_matrix(matrix), device_x(x), rows_done(2);
  check::DeviceArray<float> y(kRows);
  rows_done.fill(0);
  matrix_vector<<<kRows, 32>>>(reinterpret_cast<__half2*>(device_matrix.get()),
                               reinterpret_cast<__half2*>(device_x.get()), y.get(), kColumns,
                               reinterpret_cast<__half2*>(rows_done.get()));
  CUDA_CHECK_KERNEL();
  std::vector<double> want(kRows);
  for (int row = 0; row < kRows; ++row) {
    for (int k = 0; k < kColumns; ++k) {
      want[row] += from_half(to_half(from_half(matrix[row * kColumns + k]) * from_half(x[k])));
    }
  }
  const std::vector<uint16_t> done = rows_done.download();
  REQUIRE(from_half(done[0]) == kRows && from_half(done[1]) == kRows / 2.0, "atomic add of half2: %g, %g",
          from_half(done[0]), from_half(done[1]));
  return check::require_near(y.download(), want, 0, 1e-2, "matrix times vector");
}

}  // namespace

int main() {
  check::DeviceArray<unsigned> wrong(1);
  wrong.fill(0);
  round_trip<<<256, 256>>>(wrong.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(wrong.download()[0] == 0, "%u of 65536 halves do not survive the way through float",
          wrong.download()[0]);
  check_arithmetic();
  const double error = check_matrix_vector();
  return check::pass("65536 conversions and %d operations exact, matrix-vector within %.2g", kOperations,
                     error);
}
