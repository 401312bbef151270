// mma.h in the types and shapes beyond f16 squares: bf16, tf32, f64, s8 and u8, tall and wide tiles, every
// layout of the inputs and of the sums, from global and shared memory; mma with mixed types by instruction.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

#include "cuda_check.h"

namespace {

namespace wmma = nvcuda::wmma;
using wmma::col_major;
using wmma::row_major;

// What fragments of this type are read from.
template <typename In>
struct Memory {
  using Type = In;
};
template <>
struct Memory<wmma::precision::tf32> {
  using Type = float;
};

template <typename Layout>
constexpr bool kByRows = std::is_same_v<Layout, row_major>;

// One warp, one tile: d = a * b + c; strides are wider than the tiles. The sums are stored by columns.
template <int M, int N, int K, typename In, typename Sum, typename LayoutA, typename LayoutB>
__global__ void multiply(const typename Memory<In>::Type* a, const typename Memory<In>::Type* b, const Sum* c,
                         Sum* d, unsigned stride_a, unsigned stride_b, unsigned stride_c, unsigned stride_d) {
#if __CUDA_ARCH__ >= 800
  using Element = typename Memory<In>::Type;
  __shared__ alignas(128) Element shared[M * K];
  wmma::fragment<wmma::matrix_a, M, N, K, In, LayoutA> tile_a;
  wmma::fragment<wmma::matrix_b, M, N, K, In, LayoutB> tile_b;
  wmma::fragment<wmma::accumulator, M, N, K, Sum> sum;
  // a goes through shared memory, packed.
  const unsigned length = kByRows<LayoutA> ? K : M;
  for (unsigned i = threadIdx.x; i < M * K; i += 32) shared[i] = a[i / length * stride_a + i % length];
  __syncwarp();
  wmma::load_matrix_sync(tile_a, shared, length);
  wmma::load_matrix_sync(tile_b, b, stride_b);
  wmma::load_matrix_sync(sum, c, stride_c, wmma::mem_row_major);
  wmma::mma_sync(sum, tile_a, tile_b, sum);
  wmma::store_matrix_sync(d, sum, stride_d, wmma::mem_col_major);
#endif
}

// Small integers, so that every type holds the products and sums exactly.
int value(unsigned i, unsigned seed, bool negative) {
  return static_cast<int>((i * 11 + i / 7 + seed) % 9) - (negative ? 4 : 0);
}

template <int M, int N, int K, typename In, typename Sum, typename LayoutA, typename LayoutB>
void check_layout(const char* what) {
  using Element = typename Memory<In>::Type;
  constexpr bool kNegative = !std::is_same_v<In, unsigned char>;
  const unsigned stride_a = (kByRows<LayoutA> ? K : M) + 16, stride_b = (kByRows<LayoutB> ? N : K) + 32,
                 stride_c = N + 16, stride_d = M + 8;
  const auto at = [](bool by_rows, unsigned row, unsigned column, unsigned stride) {
    return by_rows ? row * stride + column : column * stride + row;
  };
  std::vector<Element> a(stride_a * (kByRows<LayoutA> ? M : K)), b(stride_b * (kByRows<LayoutB> ? K : N));
  std::vector<Sum> c(stride_c * M);
  const auto fill = [&](auto& list, unsigned seed, bool negative) {
    using T = typename std::decay_t<decltype(list)>::value_type;
    for (unsigned i = 0; i < list.size(); ++i) list[i] = T(static_cast<float>(value(i, seed, negative)));
  };
  fill(a, 1, kNegative);
  fill(b, 5, kNegative);
  fill(c, 3, true);
  const check::DeviceArray<Element> device_a(a), device_b(b);
  const check::DeviceArray<Sum> device_c(c), device_d(stride_d * N);
  multiply<M, N, K, In, Sum, LayoutA, LayoutB><<<1, 32>>>(
      device_a.get(), device_b.get(), device_c.get(), device_d.get(), stride_a, stride_b, stride_c, stride_d);
  CUDA_CHECK_KERNEL();
  const std::vector<Sum> d = device_d.download();
  for (unsigned row = 0; row < M; ++row) {
    for (unsigned column = 0; column < N; ++column) {
      double want = static_cast<double>(static_cast<float>(c[row * stride_c + column]));
      for (unsigned k = 0; k < K; ++k)
        want += static_cast<double>(static_cast<float>(a[at(kByRows<LayoutA>, row, k, stride_a)])) *
                static_cast<double>(static_cast<float>(b[at(kByRows<LayoutB>, k, column, stride_b)]));
      const double got = static_cast<double>(static_cast<float>(d[column * stride_d + row]));
      REQUIRE(got == want, "%s %dx%dx%d: element %u, %u is %g, not %g", what, M, N, K, row, column, got,
              want);
    }
  }
}

template <int M, int N, int K, typename In, typename Sum>
void check_shape(const char* what) {
  check_layout<M, N, K, In, Sum, row_major, row_major>(what);
  check_layout<M, N, K, In, Sum, row_major, col_major>(what);
  check_layout<M, N, K, In, Sum, col_major, row_major>(what);
  check_layout<M, N, K, In, Sum, col_major, col_major>(what);
}

template <typename In, typename Sum>
void check_sixteens(const char* what) {
  check_shape<16, 16, 16, In, Sum>(what);
  check_shape<32, 8, 16, In, Sum>(what);
  check_shape<8, 32, 16, In, Sum>(what);
}

// m16n8k16 of signed rows and unsigned columns, by instruction: element i of a lane's word is at place * 4 +
// i.
__global__ void mixed(const signed char* a, const unsigned char* b, int* c) {
#if __CUDA_ARCH__ >= 800
  const unsigned group = threadIdx.x / 4, place = threadIdx.x % 4;
  const auto word = [&](const void* from, unsigned row) {
    return reinterpret_cast<const unsigned*>(from)[row * 4 + place];
  };
  int d[4];
  asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.u8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %7, %7, %7};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(word(a, group)), "r"(word(a, group + 8)), "r"(word(b, group)), "r"(100));
  for (unsigned i = 0; i < 4; ++i) c[(group + (i < 2 ? 0 : 8)) * 8 + place * 2 + i % 2] = d[i];
#endif
}

void check_mixed() {
  std::vector<signed char> a(16 * 16);
  std::vector<unsigned char> b(8 * 16);  // by columns
  for (unsigned i = 0; i < a.size(); ++i) a[i] = static_cast<signed char>(i * 37);
  for (unsigned i = 0; i < b.size(); ++i) b[i] = static_cast<unsigned char>(i * 59 + 100);
  const check::DeviceArray<signed char> device_a(a);
  const check::DeviceArray<unsigned char> device_b(b);
  const check::DeviceArray<int> device_c(16 * 8);
  mixed<<<1, 32>>>(device_a.get(), device_b.get(), device_c.get());
  CUDA_CHECK_KERNEL();
  const std::vector<int> c = device_c.download();
  for (unsigned row = 0; row < 16; ++row) {
    for (unsigned column = 0; column < 8; ++column) {
      int want = 100;
      for (unsigned k = 0; k < 16; ++k) want += a[row * 16 + k] * b[column * 16 + k];
      REQUIRE(c[row * 8 + column] == want, "s8 by u8: element %u, %u is %d, not %d", row, column,
              c[row * 8 + column], want);
    }
  }
}

}  // namespace

int main() {
  check_sixteens<__half, float>("f16");
  check_sixteens<__half, __half>("f16 in f16");
  check_sixteens<__nv_bfloat16, float>("bf16");
  check_sixteens<signed char, int>("s8");
  check_sixteens<unsigned char, int>("u8");
  check_shape<16, 16, 8, wmma::precision::tf32, float>("tf32");
  check_shape<8, 8, 4, double, double>("f64");
  check_mixed();
  return check::pass("f16, bf16, tf32, f64, s8, u8 in all shapes and layouts, s8 by u8");
}
