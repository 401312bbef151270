// Tiled matrix multiplication: shared-memory tiles, barriers in a loop, edges that do not fill a tile.
#include "cuda_check.h"

namespace {

struct Shape {
  int rows, inner, columns;
};

template <typename T, int kTile>
__global__ void matmul(const T* a, const T* b, T* c, Shape shape) {
  __shared__ T tile_a[kTile][kTile];
  __shared__ T tile_b[kTile][kTile + 1];
  const int row = blockIdx.y * kTile + threadIdx.y, column = blockIdx.x * kTile + threadIdx.x;
  T sum = 0;
  for (int start = 0; start < shape.inner; start += kTile) {
    const int a_column = start + threadIdx.x, b_row = start + threadIdx.y;
    tile_a[threadIdx.y][threadIdx.x] =
        row < shape.rows && a_column < shape.inner ? a[row * shape.inner + a_column] : T(0);
    tile_b[threadIdx.y][threadIdx.x] =
        b_row < shape.inner && column < shape.columns ? b[b_row * shape.columns + column] : T(0);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < kTile; ++k) sum += tile_a[threadIdx.y][k] * tile_b[k][threadIdx.x];
    __syncthreads();
  }
  if (row < shape.rows && column < shape.columns) c[row * shape.columns + column] = sum;
}

// Each block adds its tile's products to C with a dynamic shared buffer holding a strip of A.
__global__ void matmul_dynamic_strip(const float* a, const float* b, float* c, Shape shape) {
  extern __shared__ float strip[];  // one row of A
  const int row = blockIdx.x;
  for (int k = threadIdx.x; k < shape.inner; k += blockDim.x) strip[k] = a[row * shape.inner + k];
  __syncthreads();
  for (int column = threadIdx.x; column < shape.columns; column += blockDim.x) {
    float sum = 0;
    for (int k = 0; k < shape.inner; ++k) sum += strip[k] * b[k * shape.columns + column];
    c[row * shape.columns + column] = sum;
  }
}

template <typename T>
std::vector<double> reference(const std::vector<T>& a, const std::vector<T>& b, Shape shape) {
  std::vector<double> c(static_cast<size_t>(shape.rows) * shape.columns);
  for (int i = 0; i < shape.rows; ++i) {
    for (int k = 0; k < shape.inner; ++k) {
      const double factor = a[i * shape.inner + k];
      for (int j = 0; j < shape.columns; ++j) c[i * shape.columns + j] += factor * b[k * shape.columns + j];
    }
  }
  return c;
}

// Inputs in [-1, 1]: the rounding error of a sum of n products stays below n * n/2 ulps of 1; far less in
// practice.
template <typename T, int kTile>
double check_tiled(Shape shape, double tolerance, const char* what) {
  const std::vector<T> a = check::random_reals<T>(static_cast<size_t>(shape.rows) * shape.inner, 11, -1, 1);
  const std::vector<T> b =
      check::random_reals<T>(static_cast<size_t>(shape.inner) * shape.columns, 12, -1, 1);
  check::DeviceArray<T> device_a(a), device_b(b), device_c(static_cast<size_t>(shape.rows) * shape.columns);
  const dim3 grid(check::blocks_for(shape.columns, kTile), check::blocks_for(shape.rows, kTile));
  matmul<T, kTile><<<grid, dim3(kTile, kTile)>>>(device_a.get(), device_b.get(), device_c.get(), shape);
  CUDA_CHECK_KERNEL();
  return check::require_near(device_c.download(), reference(a, b, shape), 0, tolerance, what);
}

double check_strip(Shape shape) {
  const std::vector<float> a =
      check::random_reals<float>(static_cast<size_t>(shape.rows) * shape.inner, 13, -1, 1);
  const std::vector<float> b =
      check::random_reals<float>(static_cast<size_t>(shape.inner) * shape.columns, 14, -1, 1);
  check::DeviceArray<float> device_a(a), device_b(b),
      device_c(static_cast<size_t>(shape.rows) * shape.columns);
  matmul_dynamic_strip<<<shape.rows, 64, shape.inner * sizeof(float)>>>(device_a.get(), device_b.get(),
                                                                        device_c.get(), shape);
  CUDA_CHECK_KERNEL();
  return check::require_near(device_c.download(), reference(a, b, shape), 0, 1e-4, "strip");
}

}  // namespace

int main() {
  const double single = check_tiled<float, 16>({200, 150, 170}, 1e-4, "float");
  const double single_full = check_tiled<float, 32>({128, 128, 128}, 1e-4, "float 32");
  const double twice = check_tiled<double, 16>({97, 65, 110}, 1e-12, "double");
  const double strip = check_strip({60, 100, 130});
  return check::pass("worst error float %.2g, float 32x32 %.2g, double %.2g, strip %.2g", single, single_full,
                     twice, strip);
}
