// A Jacobi stencil on a 2-D grid with halos in shared memory; the largest change by atomicMax on the float's
// bits.
#include <algorithm>
#include <cstring>

#include "cuda_check.h"

namespace {

constexpr int kWidth = 130, kHeight = 94, kTileX = 32, kTileY = 8, kSteps = 60;

// Fixed borders. Sums are rounded one by one, in the host's order.
__global__ void step(const float* in, float* out, unsigned* largest_change) {
  __shared__ float tile[kTileY + 2][kTileX + 2];
  const int x = blockIdx.x * kTileX + threadIdx.x, y = blockIdx.y * kTileY + threadIdx.y;
  for (int row = threadIdx.y; row < kTileY + 2; row += kTileY) {
    for (int column = threadIdx.x; column < kTileX + 2; column += kTileX) {
      const int from_x = min(max(int(blockIdx.x) * kTileX + column - 1, 0), kWidth - 1);
      const int from_y = min(max(int(blockIdx.y) * kTileY + row - 1, 0), kHeight - 1);
      tile[row][column] = in[from_y * kWidth + from_x];
    }
  }
  __syncthreads();
  if (x >= kWidth || y >= kHeight) return;
  const int tx = threadIdx.x + 1, ty = threadIdx.y + 1;
  const float old = tile[ty][tx];
  float value = old;
  if (x > 0 && x < kWidth - 1 && y > 0 && y < kHeight - 1) {
    value = 0.25f * (((tile[ty][tx - 1] + tile[ty][tx + 1]) + tile[ty - 1][tx]) + tile[ty + 1][tx]);
  }
  out[y * kWidth + x] = value;
  atomicMax(largest_change,
            __float_as_uint(fabsf(value - old)));  // order of non-negative floats is that of their bits
}

float host_step(const std::vector<float>& in, std::vector<float>& out) {
  float largest = 0;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      const int i = y * kWidth + x;
      out[i] = in[i];
      if (x > 0 && x < kWidth - 1 && y > 0 && y < kHeight - 1) {
        out[i] = 0.25f * (((in[i - 1] + in[i + 1]) + in[i - kWidth]) + in[i + kWidth]);
      }
      largest = std::max(largest, std::fabs(out[i] - in[i]));
    }
  }
  return largest;
}

}  // namespace

int main() {
  std::vector<float> field(kWidth * kHeight), next(field.size());
  for (int x = 0; x < kWidth; ++x) field[x] = 100.0f;                                        // a hot edge
  for (int y = 0; y < kHeight; ++y) field[y * kWidth + kWidth - 1] = static_cast<float>(y);  // and a slope
  check::DeviceArray<float> a(field), b(field.size());
  check::DeviceArray<unsigned> largest(kSteps);
  largest.fill(0);
  const dim3 grid(check::blocks_for(kWidth, kTileX), check::blocks_for(kHeight, kTileY)),
      block(kTileX, kTileY);
  for (int i = 0; i < kSteps; ++i) {
    step<<<grid, block>>>(i % 2 ? b.get() : a.get(), i % 2 ? a.get() : b.get(), largest.get() + i);
  }
  CUDA_CHECK_KERNEL();
  std::vector<unsigned> want_largest(kSteps);
  float change = 0;
  for (unsigned& bits : want_largest) {
    change = host_step(field, next);
    std::memcpy(&bits, &change, sizeof(bits));
    std::swap(field, next);
  }
  check::require_equal(a.download(), field, "field");  // an even number of steps ends in a
  check::require_equal(largest.download(), want_largest, "largest changes");
  return check::pass("%d steps on %d x %d: exact, last change %.3g", kSteps, kWidth, kHeight, change);
}
