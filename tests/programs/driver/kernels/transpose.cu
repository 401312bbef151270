#include "device.h"

constexpr uint32_t kTile = 32;
constexpr uint32_t kRows = 8;  // of a tile at a time

// to = from transposed; from has height rows of width. Launched with kTile by kRows threads. The odd width of
// the tile keeps its columns in different banks.
KERNEL transpose(const float* from, float* to, uint32_t width, uint32_t height) {
  __shared__ float tile[kTile][kTile + 1];
  const Index t = thread_index(), block = block_index();
  for (uint32_t row = t.y; row < kTile; row += kRows) {
    const uint32_t x = block.x * kTile + t.x, y = block.y * kTile + row;
    if (x < width && y < height) tile[row][t.x] = from[y * width + x];
  }
  barrier();
  for (uint32_t row = t.y; row < kTile; row += kRows) {
    const uint32_t x = block.y * kTile + t.x, y = block.x * kTile + row;
    if (x < height && y < width) to[y * height + x] = tile[t.x][row];
  }
}
