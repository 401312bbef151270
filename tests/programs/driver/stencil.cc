// The five-point mean again and again between two grids, against the same sums on the host, bit for bit.
#include <utility>

#include "driver_check.h"

extern "C" const char stencil_ptx[];

namespace {

constexpr unsigned kWidth = 203, kHeight = 117, kSteps = 20;

std::vector<float> step(const std::vector<float>& from) {
  std::vector<float> to(from);
  for (size_t y = 1; y + 1 < kHeight; ++y) {
    for (size_t x = 1; x + 1 < kWidth; ++x) {
      const size_t at = y * kWidth + x;
      to[at] = 0.2f * (from[at] + from[at - 1] + from[at + 1] + from[at - kWidth] + from[at + kWidth]);
    }
  }
  return to;
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(stencil_ptx);
  const CUfunction kernel = module.function("stencil");
  auto want = check::random_reals<float>(size_t{kWidth} * kHeight, 5, -10, 10);
  const check::DeviceArray<float> first(want), second(want.size());
  CUdeviceptr from = first.get(), to = second.get();
  for (unsigned i = 0; i < kSteps; ++i) {
    check::launch(kernel, {check::blocks_for(kWidth, 32), check::blocks_for(kHeight, 8)}, {32, 8}, nullptr,
                  from, to, kWidth, kHeight);
    std::swap(from, to);
    want = step(want);
  }
  check::require_equal(first.download(), want, "grid");  // an even number of steps ends where it began
  return check::pass("%u steps over %u x %u", kSteps, kWidth, kHeight);
}
