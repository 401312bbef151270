// 32- and 64-bit integer arithmetic and the bit-twiddling intrinsics, each against a plain host version.
#include "cuda_check.h"

namespace {

struct Results32 {
  unsigned popcount, leading_zeros, first_set, reversed, permuted, funnel_left, funnel_right, funnel_clamped;
  unsigned mul_high, dot4, sad, average, add_bytes, rotated, quotient, remainder, mad24;
  int signed_mul_high, signed_dot4, signed_quotient, signed_remainder, arithmetic_shift, field,
      rounded_average;
};

struct Results64 {
  unsigned long long mul_high, quotient, remainder, product, shifted, reversed;
  long long signed_mul_high, signed_quotient, arithmetic_shift;
  unsigned popcount, leading_zeros, first_set;
};

__global__ void run32(const unsigned* a, const unsigned* b, Results32* out, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const unsigned x = a[i], y = b[i];
  const int sx = static_cast<int>(x), sy = static_cast<int>(y);
  Results32 r;
  r.popcount = __popc(x);
  r.leading_zeros = __clz(sx);
  r.first_set = __ffs(sx);
  r.reversed = __brev(x);
  r.permuted = __byte_perm(x, y, y & 0x7777);
  r.funnel_left = __funnelshift_l(x, y, y);
  r.funnel_right = __funnelshift_r(x, y, y);
  r.funnel_clamped = __funnelshift_lc(x, y, y & 63);
  r.mul_high = __umulhi(x, y);
  r.dot4 = __dp4a(x, y, 77u);
  r.sad = __usad(x, y, 5u);
  r.average = __uhadd(x, y);
  r.add_bytes = __vadd4(x, y);
  r.rotated = x << (y & 31) | x >> (-y & 31);
  r.quotient = x / y;
  r.remainder = x % y;
  r.mad24 = __umul24(x, y) + x;
  r.signed_mul_high = __mulhi(sx, sy);
  r.signed_dot4 = __dp4a(sx, sy, -9);
  r.signed_quotient = sx / (sy | 1);
  r.signed_remainder = sx % (sy | 1);
  r.arithmetic_shift = sx >> (y & 31);
  r.field = sx << 7 >> 20;  // a signed bit field
  r.rounded_average = __rhadd(sx, sy);
  out[i] = r;
}

__global__ void run64(const unsigned long long* a, const unsigned long long* b, Results64* out, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const unsigned long long x = a[i], y = b[i];
  const long long sx = static_cast<long long>(x), sy = static_cast<long long>(y);
  Results64 r;
  r.mul_high = __umul64hi(x, y);
  r.signed_mul_high = __mul64hi(sx, sy);
  r.quotient = x / (y >> 20 | 1);
  r.remainder = x % (y >> 20 | 1);
  r.signed_quotient = sx / (sy >> 30 | 1);
  r.product = x * y + 12345;
  r.shifted = x << (y & 63) ^ y >> (x & 63);
  r.arithmetic_shift = sx >> (y & 63);
  r.reversed = __brevll(x);
  r.popcount = __popcll(x);
  r.leading_zeros = __clzll(sx);
  r.first_set = __ffsll(sx);
  out[i] = r;
}

unsigned host_permute(unsigned x, unsigned y, unsigned selector) {
  const uint64_t both = static_cast<uint64_t>(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i)
    result |= static_cast<unsigned>(both >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  return result;
}

template <typename T>
T host_reverse(T x) {
  T result = 0;
  for (size_t i = 0; i < sizeof(T) * 8; ++i) result |= (x >> i & 1) << (sizeof(T) * 8 - 1 - i);
  return result;
}

unsigned host_add_bytes(unsigned x, unsigned y) {
  unsigned result = 0;
  for (int i = 0; i < 32; i += 8) result |= ((x >> i) + (y >> i) & 0xff) << i;
  return result;
}

template <typename Byte, typename Word>
Word host_dot4(Word x, Word y, Word sum) {
  for (int i = 0; i < 32; i += 8) sum += Word(Byte(x >> i)) * Word(Byte(y >> i));
  return sum;
}

Results32 reference32(unsigned x, unsigned y) {
  const int sx = static_cast<int>(x), sy = static_cast<int>(y);
  const uint64_t both = static_cast<uint64_t>(y) << 32 | x;  // funnel shifts: y is the high word
  Results32 r;
  r.popcount = __builtin_popcount(x);
  r.leading_zeros = x ? __builtin_clz(x) : 32;
  r.first_set = __builtin_ffs(sx);
  r.reversed = host_reverse(x);
  r.permuted = host_permute(x, y, y & 0x7777);
  r.funnel_left = static_cast<unsigned>(both << (y & 31) >> 32);
  r.funnel_right = static_cast<unsigned>(both >> (y & 31));
  r.funnel_clamped = static_cast<unsigned>(both << ((y & 63) < 32 ? y & 63 : 32) >> 32);
  r.mul_high = static_cast<unsigned>(static_cast<uint64_t>(x) * y >> 32);
  r.dot4 = host_dot4<uint8_t, unsigned>(x, y, 77);
  r.sad = (x > y ? x - y : y - x) + 5;
  r.average = static_cast<unsigned>((static_cast<uint64_t>(x) + y) >> 1);
  r.add_bytes = host_add_bytes(x, y);
  r.rotated = x << (y & 31) | x >> (-y & 31);
  r.quotient = x / y;
  r.remainder = x % y;
  r.mad24 = (x & 0xffffff) * (y & 0xffffff) + x;
  r.signed_mul_high = static_cast<int>(static_cast<int64_t>(sx) * sy >> 32);
  r.signed_dot4 = host_dot4<int8_t, int>(sx, sy, -9);
  r.signed_quotient = sx / (sy | 1);
  r.signed_remainder = sx % (sy | 1);
  r.arithmetic_shift = sx >> (y & 31);
  r.field = static_cast<int>(x << 7) >> 20;
  r.rounded_average = static_cast<int>((static_cast<int64_t>(sx) + sy + 1) >> 1);
  return r;
}

Results64 reference64(unsigned long long x, unsigned long long y) {
  const long long sx = static_cast<long long>(x), sy = static_cast<long long>(y);
  Results64 r;
  r.mul_high = static_cast<unsigned long long>(static_cast<unsigned __int128>(x) * y >> 64);
  r.signed_mul_high = static_cast<long long>(static_cast<__int128>(sx) * sy >> 64);
  r.quotient = x / (y >> 20 | 1);
  r.remainder = x % (y >> 20 | 1);
  r.signed_quotient = sx / (sy >> 30 | 1);
  r.product = x * y + 12345;
  r.shifted = x << (y & 63) ^ y >> (x & 63);
  r.arithmetic_shift = sx >> (y & 63);
  r.reversed = host_reverse(x);
  r.popcount = __builtin_popcountll(x);
  r.leading_zeros = x ? __builtin_clzll(x) : 64;
  r.first_set = __builtin_ffsll(sx);
  return r;
}

#define SAME(field)                                                                     \
  REQUIRE(got[i].field == want.field, "%s of %#llx, %#llx is %#llx, not %#llx", #field, \
          static_cast<unsigned long long>(a[i]), static_cast<unsigned long long>(b[i]), \
          static_cast<unsigned long long>(got[i].field), static_cast<unsigned long long>(want.field))

void check32(const std::vector<unsigned>& a, const std::vector<unsigned>& b) {
  check::DeviceArray<unsigned> device_a(a), device_b(b);
  check::DeviceArray<Results32> out(a.size());
  run32<<<check::blocks_for(a.size(), 128), 128>>>(device_a.get(), device_b.get(), out.get(), int(a.size()));
  CUDA_CHECK_KERNEL();
  const std::vector<Results32> got = out.download();
  for (size_t i = 0; i < a.size(); ++i) {
    const Results32 want = reference32(a[i], b[i]);
    SAME(popcount);
    SAME(leading_zeros);
    SAME(first_set);
    SAME(reversed);
    SAME(permuted);
    SAME(funnel_left);
    SAME(funnel_right);
    SAME(funnel_clamped);
    SAME(mul_high);
    SAME(dot4);
    SAME(sad);
    SAME(average);
    SAME(add_bytes);
    SAME(rotated);
    SAME(quotient);
    SAME(remainder);
    SAME(mad24);
    SAME(signed_mul_high);
    SAME(signed_dot4);
    SAME(signed_quotient);
    SAME(signed_remainder);
    SAME(arithmetic_shift);
    SAME(field);
    SAME(rounded_average);
  }
}

void check64(const std::vector<unsigned long long>& a, const std::vector<unsigned long long>& b) {
  check::DeviceArray<unsigned long long> device_a(a), device_b(b);
  check::DeviceArray<Results64> out(a.size());
  run64<<<check::blocks_for(a.size(), 128), 128>>>(device_a.get(), device_b.get(), out.get(), int(a.size()));
  CUDA_CHECK_KERNEL();
  const std::vector<Results64> got = out.download();
  for (size_t i = 0; i < a.size(); ++i) {
    const Results64 want = reference64(a[i], b[i]);
    SAME(mul_high);
    SAME(quotient);
    SAME(remainder);
    SAME(product);
    SAME(shifted);
    SAME(reversed);
    SAME(signed_mul_high);
    SAME(signed_quotient);
    SAME(arithmetic_shift);
    SAME(popcount);
    SAME(leading_zeros);
    SAME(first_set);
  }
}

// 8- and 16-bit loads, stores and arithmetic, with the conversions C++ asks for.
__global__ void narrow(const signed char* a, const unsigned short* b, short* sums, unsigned char* products) {
  const int i = threadIdx.x;
  sums[i] = static_cast<short>(a[i] - b[i]);
  products[i] = static_cast<unsigned char>(a[i] * (b[i] >> 3));
}

void check_narrow() {
  const std::vector<signed char> a = check::random_integers<signed char>(256, 103);
  const std::vector<unsigned short> b = check::random_integers<unsigned short>(256, 104);
  check::DeviceArray<signed char> device_a(a);
  check::DeviceArray<unsigned short> device_b(b);
  check::DeviceArray<short> sums(256);
  check::DeviceArray<unsigned char> products(256);
  narrow<<<1, 256>>>(device_a.get(), device_b.get(), sums.get(), products.get());
  CUDA_CHECK_KERNEL();
  std::vector<short> want_sums(256);
  std::vector<unsigned char> want_products(256);
  for (int i = 0; i < 256; ++i) {
    want_sums[i] = static_cast<short>(a[i] - b[i]);
    want_products[i] = static_cast<unsigned char>(a[i] * (b[i] >> 3));
  }
  check::require_equal(sums.download(), want_sums, "16-bit sums");
  check::require_equal(products.download(), want_products, "8-bit products");
}

}  // namespace

int main() {
  constexpr size_t kCount = 8192;
  std::vector<unsigned> a = check::random_integers<unsigned>(kCount, 101),
                        b = check::random_integers<unsigned>(kCount, 102);
  std::vector<unsigned long long> wide_a = check::random_integers<unsigned long long>(kCount, 105),
                                  wide_b = check::random_integers<unsigned long long>(kCount, 106);
  // Corners first; a divisor is never 0, and INT_MIN is never divided by -1.
  const unsigned corners[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0x00010000, 0xff, 31};
  for (int i = 0; i < 8; ++i) {
    a[i] = corners[i];
    wide_a[i] = static_cast<unsigned long long>(corners[i]) << 32 | corners[7 - i];
    b[i] = 5;
  }
  for (unsigned& divisor : b) divisor += divisor == 0;
  check32(a, b);
  check64(wide_a, wide_b);
  check_narrow();
  return check::pass("36 operations on %zu pairs, 8- and 16-bit arithmetic: exact", kCount);
}
