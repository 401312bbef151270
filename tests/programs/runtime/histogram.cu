// 256-bin histograms: straight to global memory, privatised in shared memory, and weighted in float and
// double.
#include "cuda_check.h"

namespace {

constexpr int kBins = 256;

__global__ void histogram_global(const uint8_t* bytes, size_t count, unsigned* bins) {
  const size_t stride = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    atomicAdd(&bins[bytes[i]], 1u);
  }
}

__global__ void histogram_shared(const uchar4* bytes, size_t count, unsigned* bins) {
  __shared__ unsigned local[kBins];
  for (int bin = threadIdx.x; bin < kBins; bin += blockDim.x) local[bin] = 0;
  __syncthreads();
  const size_t stride = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    const uchar4 four = bytes[i];
    atomicAdd(&local[four.x], 1u);
    atomicAdd(&local[four.y], 1u);
    atomicAdd(&local[four.z], 1u);
    atomicAdd(&local[four.w], 1u);
  }
  __syncthreads();
  for (int bin = threadIdx.x; bin < kBins; bin += blockDim.x) atomicAdd(&bins[bin], local[bin]);
}

template <typename T>
__global__ void histogram_weighted(const uint8_t* bytes, size_t count, T* bins) {
  __shared__ T local[16];
  if (threadIdx.x < 16) local[threadIdx.x] = 0;
  __syncthreads();
  const size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) atomicAdd(&local[bytes[i] / 16], static_cast<T>(bytes[i]) * T(0.25));
  __syncthreads();
  if (threadIdx.x < 16) atomicAdd(&bins[threadIdx.x], local[threadIdx.x]);
}

// Weights are quarters and the totals stay below 2^22, so that even float sums are exact in any order.
template <typename T>
void check_weighted(const std::vector<uint8_t>& bytes, size_t count, const char* what) {
  check::DeviceArray<uint8_t> device_bytes(bytes);
  check::DeviceArray<T> bins(16);
  bins.fill(0);
  histogram_weighted<<<check::blocks_for(count, 256), 256>>>(device_bytes.get(), count, bins.get());
  CUDA_CHECK_KERNEL();
  std::vector<T> want(16);
  for (size_t i = 0; i < count; ++i) want[bytes[i] / 16] += static_cast<T>(bytes[i]) * T(0.25);
  check::require_equal(bins.download(), want, what);
}

}  // namespace

int main() {
  constexpr size_t kCount = 400'000;
  std::vector<uint8_t> bytes(kCount);
  check::Random random(41);
  // Skewed on purpose: many lanes of a warp hit the same bin.
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.below(16) * random.below(16));
  std::vector<unsigned> want(kBins);
  for (const uint8_t byte : bytes) ++want[byte];

  check::DeviceArray<uint8_t> device_bytes(bytes);
  check::DeviceArray<unsigned> bins(kBins);
  bins.fill(0);
  histogram_global<<<16, 256>>>(device_bytes.get(), kCount, bins.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(bins.download(), want, "global");

  bins.fill(0);
  histogram_shared<<<16, 192>>>(reinterpret_cast<const uchar4*>(device_bytes.get()), kCount / 4, bins.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(bins.download(), want, "shared");

  check_weighted<float>(bytes, 100'000, "float weights");
  check_weighted<double>(bytes, kCount, "double weights");
  return check::pass("%zu bytes, %d bins: exact", kCount, kBins);
}
