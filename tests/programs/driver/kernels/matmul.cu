#include "device.h"

constexpr uint32_t kTile = 16;

// c = a b for n by n matrices; n need not be a multiple of the tile. Launched with kTile by kTile threads.
KERNEL matmul_tiled(const float* a, const float* b, float* c, uint32_t n) {
  __shared__ float tile_a[kTile][kTile];
  __shared__ float tile_b[kTile][kTile];
  const Index t = thread_index(), block = block_index();
  const uint32_t row = block.y * kTile + t.y, column = block.x * kTile + t.x;
  float sum = 0;
  for (uint32_t start = 0; start < n; start += kTile) {
    tile_a[t.y][t.x] = row < n && start + t.x < n ? a[row * n + start + t.x] : 0.0f;
    tile_b[t.y][t.x] = start + t.y < n && column < n ? b[(start + t.y) * n + column] : 0.0f;
    barrier();
    for (uint32_t k = 0; k < kTile; ++k) sum += tile_a[t.y][k] * tile_b[k][t.x];
    barrier();
  }
  if (row < n && column < n) c[row * n + column] = sum;
}
