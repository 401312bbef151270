// Memory that is more than a GPU has, by the public library: the same kernels over blocks that may all be on
// the GPU at once, and over blocks of which half may. Every word is checked.
//
//   memory_virtualization_demo [MEBIBYTES]     on the GPU at once, at most; 128 if not said. Under `tessera
//   run` that is of the slice's memory.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "common/size.h"
#include "demos/demo_driver.h"
#include "demos/space_work.h"

namespace {

using namespace tessera;
using demo::require;

constexpr int kBlocks = 8;
constexpr int kRounds = 3;
constexpr uint32_t kSteps = 8;

// The time of a round, in seconds.
double run(const cuda::DriverTable& driver, const char* name, uint64_t device_bytes, uint64_t block_bytes) {
  demo::SpaceWork work(driver, device_bytes, block_bytes, kBlocks);
  work.round(kSteps);  // memory comes with the first use
  const tessera_memory_figures before = work.figures();
  double best = work.round(kSteps);
  for (int i = 1; i < kRounds; ++i) best = std::min(best, work.round(kSteps));
  const tessera_memory_figures after = work.figures();
  const uint64_t moved = after.moved_to_device_bytes - before.moved_to_device_bytes;
  require(work.correct(), "the check of every word");
  std::printf("%-14s %9s on the GPU at most: %7.1f ms a round, %9s brought in a round; every word right\n",
              name, format_size(device_bytes).c_str(), best * 1000, format_size(moved / kRounds).c_str());
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t device_bytes =
      static_cast<uint64_t>(argc > 1 ? std::max(std::atoi(argv[1]), 16) : 128) * kMiB;
  const Result<cuda::DriverTable> driver = demo::start_driver("memory_virtualization_demo");
  if (!driver.ok()) {
    std::fprintf(stderr, "memory_virtualization_demo: %s\n", driver.status().message().c_str());
    return 1;
  }
  const uint64_t block_bytes = device_bytes / kBlocks / (2 * kMiB) * (2 * kMiB);
  std::printf("%d blocks of %s, kernels of %u steps over each word\n", kBlocks,
              format_size(block_bytes).c_str(), kSteps);
  const double whole = run(*driver, "room for all", device_bytes, block_bytes);
  const double half = run(*driver, "room for half", device_bytes / 2, block_bytes);
  std::printf("a round with half of the memory takes %.2f times as long\n", half / whole);
}
