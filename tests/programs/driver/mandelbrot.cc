// Loops that every lane leaves at another time; device and host round alike, so the counts are exact.
#include "driver_check.h"

extern "C" const char mandelbrot_ptx[];

namespace {

int reference(uint32_t x, uint32_t y, uint32_t width, uint32_t height, int limit) {
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
  return count;
}

}  // namespace

int main() {
  constexpr uint32_t kWidth = 300, kHeight = 180;
  constexpr int kLimit = 250;
  const check::Context context;
  const check::Module module(mandelbrot_ptx);
  const check::DeviceArray<int> counts(kWidth * kHeight);
  check::launch(module.function("mandelbrot"), {check::blocks_for(kWidth, 32), check::blocks_for(kHeight, 4)},
                {32, 4}, nullptr, counts.get(), kWidth, kHeight, kLimit);
  std::vector<int> want;
  long long iterations = 0;
  for (uint32_t y = 0; y < kHeight; ++y) {
    for (uint32_t x = 0; x < kWidth; ++x) {
      want.push_back(reference(x, y, kWidth, kHeight, kLimit));
      iterations += want.back();
    }
  }
  check::require_equal(counts.download(), want, "counts");
  return check::pass("%u x %u points, %lld iterations: exact", kWidth, kHeight, iterations);
}
