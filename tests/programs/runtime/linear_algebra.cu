// Double precision: a conjugate-gradient solver and a Cholesky factorisation, judged by their residuals.
#include "cuda_check.h"

namespace {

constexpr int kBlock = 128;

// y = A x for the 2-D Laplacian of an n by n grid, the matrix never stored.
__global__ void laplacian(const double* x, double* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n * n) return;
  const int row = i / n, column = i % n;
  double value = 4.0 * x[i];
  if (row > 0) value -= x[i - n];
  if (row < n - 1) value -= x[i + n];
  if (column > 0) value -= x[i - 1];
  if (column < n - 1) value -= x[i + 1];
  y[i] = value;
}

__global__ void dot(const double* a, const double* b, double* result, int count) {
  __shared__ double partial[kBlock];
  double sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
    sum += a[i] * b[i];
  partial[threadIdx.x] = sum;
  __syncthreads();
  for (int half = kBlock / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) atomicAdd(result, partial[0]);
}

// The scalars stay on the device: x += (rr / pAp) p; r -= (rr / pAp) Ap.
__global__ void advance(double* x, double* r, const double* p, const double* ap, const double* rr,
                        const double* pap, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const double alpha = *rr / *pap;
  x[i] += alpha * p[i];
  r[i] -= alpha * ap[i];
}

__global__ void new_direction(double* p, const double* r, const double* rr_new, const double* rr, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) p[i] = r[i] + *rr_new / *rr * p[i];
}

double host_residual(const std::vector<double>& x, const std::vector<double>& b, int n) {
  double square = 0, norm = 0;
  for (int i = 0; i < n * n; ++i) {
    const int row = i / n, column = i % n;
    double ax = 4 * x[i];
    if (row > 0) ax -= x[i - n];
    if (row < n - 1) ax -= x[i + n];
    if (column > 0) ax -= x[i - 1];
    if (column < n - 1) ax -= x[i + 1];
    square += (b[i] - ax) * (b[i] - ax);
    norm += b[i] * b[i];
  }
  return std::sqrt(square / norm);
}

double conjugate_gradient(int n, int iterations) {
  const int count = n * n;
  const unsigned blocks = check::blocks_for(count, kBlock);
  const std::vector<double> b = check::random_reals<double>(count, 81, -1, 1);
  check::DeviceArray<double> x(count), r(b), p(b), ap(count), scalars(3);
  x.fill(0);
  scalars.fill(0);
  double *rr = scalars.get(), *pap = rr + 1, *rr_new = rr + 2;
  dot<<<8, kBlock>>>(r.get(), r.get(), rr, count);
  for (int i = 0; i < iterations; ++i) {
    CUDA_CHECK(cudaMemsetAsync(pap, 0, 2 * sizeof(double)));
    laplacian<<<blocks, kBlock>>>(p.get(), ap.get(), n);
    dot<<<8, kBlock>>>(p.get(), ap.get(), pap, count);
    advance<<<blocks, kBlock>>>(x.get(), r.get(), p.get(), ap.get(), rr, pap, count);
    dot<<<8, kBlock>>>(r.get(), r.get(), rr_new, count);
    new_direction<<<blocks, kBlock>>>(p.get(), r.get(), rr_new, rr, count);
    CUDA_CHECK(cudaMemcpyAsync(rr, rr_new, sizeof(double), cudaMemcpyDeviceToDevice));
  }
  CUDA_CHECK_KERNEL();
  return host_residual(x.download(), b, n);
}

// In place, one block: A = L L^T, the lower triangle becomes L.
__global__ void cholesky(double* a, int n) {
  for (int k = 0; k < n; ++k) {
    if (threadIdx.x == 0) a[k * n + k] = sqrt(a[k * n + k]);
    __syncthreads();
    for (int i = k + 1 + threadIdx.x; i < n; i += blockDim.x) a[i * n + k] /= a[k * n + k];
    __syncthreads();
    for (int i = k + 1 + threadIdx.x; i < n; i += blockDim.x) {
      for (int j = k + 1; j <= i; ++j) a[i * n + j] -= a[i * n + k] * a[j * n + k];
    }
    __syncthreads();
  }
}

double check_cholesky(int n) {
  const std::vector<double> m = check::random_reals<double>(static_cast<size_t>(n) * n, 82, -1, 1);
  std::vector<double> a(static_cast<size_t>(n) * n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      for (int k = 0; k < n; ++k) a[i * n + j] += m[i * n + k] * m[j * n + k];
    }
    a[i * n + i] += n;  // positive definite, well conditioned
  }
  check::DeviceArray<double> device_a(a);
  cholesky<<<1, 64>>>(device_a.get(), n);
  CUDA_CHECK_KERNEL();
  const std::vector<double> l = device_a.download();
  double worst = 0;
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j <= i; ++j) {
      double product = 0;
      for (int k = 0; k <= j; ++k) product += l[i * n + k] * l[j * n + k];
      worst = std::fmax(worst, std::fabs(product - a[i * n + j]));
    }
  }
  REQUIRE(worst < 1e-11, "L L^T is off by %.3g", worst);
  return worst;
}

}  // namespace

int main() {
  constexpr int kSide = 48;
  const double residual = conjugate_gradient(kSide, 200);
  REQUIRE(residual < 1e-10, "conjugate gradient leaves a relative residual of %.3g", residual);
  const double factor_error = check_cholesky(64);
  return check::pass("%d unknowns solved to %.2g, Cholesky within %.2g", kSide * kSide, residual,
                     factor_error);
}
