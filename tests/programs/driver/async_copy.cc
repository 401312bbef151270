// Asynchronous copies and barriers in shared memory, with device code by clang.
#include "driver_check.h"

extern "C" const char async_copy_ptx[];

namespace {

constexpr unsigned kTile = 128, kProducers = 32;

void check_ring(const check::Module& module) {
  constexpr unsigned kBlocks = 20, kTiles = 15;
  const std::vector<uint32_t> in = check::random_integers<uint32_t>(kBlocks * kTiles * kTile, 9);
  const check::DeviceArray<uint32_t> from(in), to(in.size());
  check::launch(module.function("ring"), {kBlocks}, {kTile + kProducers}, nullptr, from.get(), to.get(),
                uint32_t{kTiles});
  std::vector<uint32_t> want(in.size());
  for (unsigned i = 0; i < want.size(); ++i)
    want[i] = in[i] + in[i / kTile * kTile + (i + 1) % kTile] + i / kTile % kTiles;
  check::require_equal(to.download(), want, "ring");
}

void check_states(const check::Module& module) {
  const check::DeviceArray<uint32_t> out(64);
  check::launch(module.function("states"), {1}, {32}, nullptr, out.get());
  const std::vector<uint32_t> got = out.download();
  for (unsigned lane = 0; lane < 32; ++lane)
    REQUIRE(got[lane * 2] == 32 - lane && got[lane * 2 + 1] == 1, "lane %u: %u missing, over %u", lane,
            got[lane * 2], got[lane * 2 + 1]);
}

}  // namespace

int main() {
  const check::Context context;
  int major = 0;
  CU_CHECK(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, context.device()));
  if (major < 8) check::skip("asynchronous copies need compute capability 8.0");
  const check::Module module(async_copy_ptx);
  check_ring(module);
  check_states(module);
  return check::pass("20 rings of tiles, 32 states of a barrier");
}
