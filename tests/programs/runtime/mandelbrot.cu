// The Mandelbrot set: loops that every lane leaves at another time. Device and host round alike, so counts
// are exact.
#include "cuda_check.h"

namespace {

constexpr int kWidth = 320, kHeight = 200, kLimit = 300;

// Explicitly rounded operations keep nvcc from fusing multiply and add, which the host's compiler does not
// do.
__device__ __forceinline__ float times(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ float plus(float a, float b) { return __fadd_rn(a, b); }

__global__ void mandelbrot(int* counts) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= kWidth || y >= kHeight) return;
  const float cx = plus(-2.2f, times(x, 0.01f)), cy = plus(-1.0f, times(y, 0.01f));
  float zx = 0, zy = 0;
  int count = 0;
  while (count < kLimit) {
    const float xx = times(zx, zx), yy = times(zy, zy);
    if (plus(xx, yy) > 4.0f) break;
    zy = plus(times(times(2.0f, zx), zy), cy);
    zx = plus(plus(xx, -yy), cx);
    ++count;
  }
  counts[y * kWidth + x] = count;
}

int reference(int x, int y) {
  const float cx = -2.2f + x * 0.01f, cy = -1.0f + y * 0.01f;
  float zx = 0, zy = 0;
  int count = 0;
  while (count < kLimit) {
    const float xx = zx * zx, yy = zy * zy;
    if (xx + yy > 4.0f) break;
    zy = 2.0f * zx * zy + cy;
    zx = xx - yy + cx;
    ++count;
  }
  return count;
}

// A nest of divergence: loops with continue and break, a switch, early return, inside one another.
__device__ __host__ inline int wander(int seed) {
  int sum = 0;
  for (int i = 0; i < 40; ++i) {
    if ((seed >> (i % 7)) % 3 == 0) continue;
    for (int k = i; k < seed % 23; ++k) {
      switch ((seed + k) % 5) {
        case 0:
          sum += k;
          break;
        case 1:
          sum ^= i;
          break;
        case 2:
          if (sum % 11 == 3) return sum * 2;
          sum += 5;
          [[fallthrough]];
        case 3:
          sum -= k / 2;
          break;
        default:
          k += 2;
          break;
      }
      if (sum > 500) break;
    }
    if (sum < -400) return sum;
  }
  return sum;
}

__global__ void wander_all(const int* seeds, int* results) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  results[i] = wander(seeds[i]);
}

}  // namespace

int main() {
  check::DeviceArray<int> counts(kWidth * kHeight);
  const dim3 block(16, 8);
  mandelbrot<<<dim3(check::blocks_for(kWidth, block.x), check::blocks_for(kHeight, block.y)), block>>>(
      counts.get());
  CUDA_CHECK_KERNEL();
  std::vector<int> want(kWidth * kHeight);
  long long iterations = 0;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) iterations += want[y * kWidth + x] = reference(x, y);
  }
  check::require_equal(counts.download(), want, "mandelbrot");

  std::vector<int> seeds(64 * 128), wandered(seeds.size());
  check::Random random(51);
  for (size_t i = 0; i < seeds.size(); ++i) {
    seeds[i] = static_cast<int>(random.below(100'000));
    wandered[i] = wander(seeds[i]);
  }
  check::DeviceArray<int> device_seeds(seeds), results(seeds.size());
  wander_all<<<64, 128>>>(device_seeds.get(), results.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(results.download(), wandered, "wander");
  return check::pass("%lld iterations, %zu divergent walks: exact", iterations, seeds.size());
}
