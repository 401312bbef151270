// mma.h: tiles of f16 (sums in f32) and of s8, with every layout of the inputs, against a product on the CPU.
#include <mma.h>

#include "cuda_check.h"

namespace {

namespace wmma = nvcuda::wmma;
constexpr unsigned kSize = 64;

// One warp per 16x16 tile of c = a * b; a by rows, b by columns.
template <typename In, typename Sum>
__global__ void multiply(const In* a, const In* b, Sum* c) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, In, wmma::row_major> tile_a;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, In, wmma::col_major> tile_b;
  wmma::fragment<wmma::accumulator, 16, 16, 16, Sum> sum;
  const unsigned row = blockIdx.y * 16, column = blockIdx.x * 16;
  wmma::fill_fragment(sum, Sum(1));
  for (unsigned k = 0; k < kSize; k += 16) {
    wmma::load_matrix_sync(tile_a, a + row * kSize + k, kSize);
    wmma::load_matrix_sync(tile_b, b + column * kSize + k, kSize);
    wmma::mma_sync(sum, tile_a, tile_b, sum);
  }
  for (int i = 0; i < sum.num_elements; ++i) sum.x[i] = sum.x[i] * Sum(2);
  wmma::store_matrix_sync(c + row * kSize + column, sum, kSize, wmma::mem_row_major);
}

template <typename In, typename Sum>
void check_product(const char* what) {
  std::vector<int> a(kSize * kSize), b(kSize * kSize);
  for (unsigned i = 0; i < a.size(); ++i) {
    a[i] = static_cast<int>(i * 5 % 13) - 6;
    b[i] = static_cast<int>(i * 7 % 11) - 5;
  }
  std::vector<In> in_a, in_b;
  for (const int value : a) in_a.push_back(In(static_cast<float>(value)));
  for (const int value : b) in_b.push_back(In(static_cast<float>(value)));
  const check::DeviceArray<In> device_a(in_a), device_b(in_b);
  const check::DeviceArray<Sum> device_c(kSize * kSize);
  multiply<In, Sum><<<dim3(kSize / 16, kSize / 16), 32>>>(device_a.get(), device_b.get(), device_c.get());
  CUDA_CHECK_KERNEL();
  const std::vector<Sum> c = device_c.download();
  for (unsigned row = 0; row < kSize; ++row) {
    for (unsigned column = 0; column < kSize; ++column) {
      int want = 1;
      for (unsigned k = 0; k < kSize; ++k) want += a[row * kSize + k] * b[column * kSize + k];
      REQUIRE(c[row * kSize + column] == Sum(2 * want), "%s: element %u, %u", what, row, column);
    }
  }
}

}  // namespace

int main() {
  check_product<__half, float>("f16");
  check_product<signed char, int>("s8");
  return check::pass("%u x %u products of f16 and s8 by tiles: exact", kSize, kSize);
}
