#include "device.h"

KERNEL mandelbrot(int* counts, uint32_t width, uint32_t height, int limit) {
  const uint32_t x = global_thread(), y = block_index().y * block_size().y + thread_index().y;
  if (x >= width || y >= height) return;
  const float cx = -2.2f + 3.2f * static_cast<float>(x) / static_cast<float>(width);
  const float cy = -1.2f + 2.4f * static_cast<float>(y) / static_cast<float>(height);
  float zx = 0, zy = 0;
  int count = 0;
  while (count < limit && zx * zx + zy * zy <= 4.0f) {
    const float next = zx * zx - zy * zy + cx;
    zy = 2.0f * zx * zy + cy;
    zx = next;
    ++count;
  }
  counts[y * width + x] = count;
}
