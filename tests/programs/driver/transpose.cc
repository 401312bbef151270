// Transposes matrices through shared memory, square and not, and back again.
#include "driver_check.h"

extern "C" const char transpose_ptx[];

namespace {

constexpr unsigned kTile = 32, kRows = 8;  // as the kernel has them

void run(CUfunction kernel, unsigned width, unsigned height) {
  const auto values = check::random_reals<float>(size_t{width} * height, width, -1, 1);
  const check::DeviceArray<float> from(values), to(values.size()), back(values.size());
  check::launch(kernel, {check::blocks_for(width, kTile), check::blocks_for(height, kTile)}, {kTile, kRows},
                nullptr, from.get(), to.get(), width, height);
  check::launch(kernel, {check::blocks_for(height, kTile), check::blocks_for(width, kTile)}, {kTile, kRows},
                nullptr, to.get(), back.get(), height, width);
  std::vector<float> want(values.size());
  for (unsigned y = 0; y < height; ++y) {
    for (unsigned x = 0; x < width; ++x) want[size_t{x} * height + y] = values[size_t{y} * width + x];
  }
  check::require_equal(to.download(), want, "transposed");
  check::require_equal(back.download(), values, "transposed twice");
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(transpose_ptx);
  const CUfunction kernel = module.function("transpose");
  const unsigned shapes[][2] = {{512, 512}, {33, 1}, {1, 70}, {500, 123}};
  for (const auto& shape : shapes) run(kernel, shape[0], shape[1]);
  return check::pass("four shapes, there and back");
}
