// Tiled matrix multiplication. Host and device add in the same order without fusing, so results agree bit for
// bit.
#include "driver_check.h"

extern "C" const char matmul_ptx[];

namespace {

void check_size(CUfunction matmul, uint32_t n) {
  const size_t count = size_t{n} * n;
  const std::vector<float> a = check::random_reals<float>(count, n, -1, 1);
  const std::vector<float> b = check::random_reals<float>(count, n + 1, -1, 1);
  const check::DeviceArray<float> device_a(a), device_b(b), c(count);
  const unsigned tiles = check::blocks_for(n, 16);
  check::launch(matmul, {tiles, tiles}, {16, 16}, nullptr, device_a.get(), device_b.get(), c.get(), n);
  std::vector<float> want(count);
  for (uint32_t i = 0; i < n; ++i) {
    for (uint32_t k = 0; k < n; ++k) {
      for (uint32_t j = 0; j < n; ++j) want[i * n + j] += a[i * n + k] * b[k * n + j];
    }
  }
  check::require_equal(c.download(), want, "matmul");
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(matmul_ptx);
  const CUfunction matmul = module.function("matmul_tiled");
  int shared_bytes = 0;
  CU_CHECK(cuFuncGetAttribute(&shared_bytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, matmul));
  REQUIRE(shared_bytes == 2 * 16 * 16 * 4, "the kernel uses %d bytes of shared memory, not 2048",
          shared_bytes);
  for (const uint32_t n : {16u, 100u, 160u}) check_size(matmul, n);
  return check::pass("3 sizes up to 160 x 160: exact");
}
