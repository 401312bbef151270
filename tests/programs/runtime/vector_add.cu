// y = a*x + b for three element types, through a grid-stride loop and through one thread per element.
#include "cuda_check.h"

namespace {

template <typename T>
__global__ void add(const T* a, const T* b, T* sum, size_t count) {
  const size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
  if (i < count) sum[i] = a[i] + b[i];
}

__global__ void axpy_grid_stride(float factor, const float* x, float* y, size_t count) {
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < count;
       i += static_cast<size_t>(gridDim.x) * blockDim.x) {
    y[i] = __fadd_rn(__fmul_rn(factor, x[i]), y[i]);  // no fused multiply-add: the host's result is exact
  }
}

template <typename T>
void check_add(const std::vector<T>& a, const std::vector<T>& b, const char* what) {
  check::DeviceArray<T> device_a(a), device_b(b), device_sum(a.size());
  add<<<check::blocks_for(a.size(), 256), 256>>>(device_a.get(), device_b.get(), device_sum.get(), a.size());
  CUDA_CHECK_KERNEL();
  std::vector<T> want(a.size());
  for (size_t i = 0; i < a.size(); ++i) want[i] = a[i] + b[i];
  check::require_equal(device_sum.download(), want, what);
}

void check_axpy(size_t count) {
  const std::vector<float> x = check::random_reals<float>(count, 3, -10, 10);
  std::vector<float> y = check::random_reals<float>(count, 4, -10, 10);
  check::DeviceArray<float> device_x(x), device_y(y);
  axpy_grid_stride<<<24, 128>>>(1.5f, device_x.get(), device_y.get(), count);
  CUDA_CHECK_KERNEL();
  for (size_t i = 0; i < count; ++i) y[i] = 1.5f * x[i] + y[i];
  check::require_equal(device_y.download(), y, "axpy");
}

}  // namespace

int main() {
  constexpr size_t kCount = 300'001;  // odd: the last warp is partly off
  check_add(check::random_reals<float>(kCount, 1, -1e3, 1e3),
            check::random_reals<float>(kCount, 2, -1e3, 1e3), "float");
  check_add(check::random_reals<double>(kCount, 1, -1e3, 1e3),
            check::random_reals<double>(kCount, 2, -1e3, 1e3), "double");
  check_add(check::random_integers<uint32_t>(kCount, 1), check::random_integers<uint32_t>(kCount, 2),
            "uint32");
  check_add(check::random_integers<uint8_t>(kCount, 1), check::random_integers<uint8_t>(kCount, 2), "uint8");
  check_axpy(kCount);
  return check::pass("%zu elements of 4 types, axpy: exact", kCount);
}
