// What a program can do about memory that is more than the GPU has, by the public library: say what is to
// stay, and work on it with several threads. Every word is checked.
//
//   advanced_memory_demo [MEBIBYTES]     on the GPU at once, at most; 64 if not said.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "common/size.h"
#include "demos/demo_driver.h"
#include "demos/space_work.h"

namespace {

using namespace tessera;
using demo::require;

constexpr int kBlocks = 8;  // of which four fit
constexpr int kRounds = 3;
constexpr uint32_t kSteps = 8;

struct Setting {
  const cuda::DriverTable& driver;
  uint64_t device_bytes;
  demo::SpaceWork work() const { return {driver, device_bytes, device_bytes / (kBlocks / 2), kBlocks}; }
};

// A loop over more than fits finds, with the one used longest ago leaving, nothing of what it wants next.
void keep_some(const Setting& setting, int kept) {
  demo::SpaceWork work = setting.work();
  for (int i = 0; i < kept; ++i) {
    demo::require_space(
        tessera_memory_advise(work.space(), work.address(static_cast<size_t>(i)), TESSERA_MEMORY_ADVISE_KEEP),
        "advising");
  }
  work.round(kSteps);
  const uint64_t before = work.figures().moved_to_device_bytes;
  double best = work.round(kSteps);
  for (int i = 1; i < kRounds; ++i) best = std::min(best, work.round(kSteps));
  const uint64_t moved = work.figures().moved_to_device_bytes - before;
  require(work.correct(), "the check of every word");
  std::printf("loop over twice what fits, %d of %d blocks to be kept: %7.1f ms and %9s brought in a round\n",
              kept, kBlocks, best * 1000, format_size(moved / kRounds).c_str());
}

// The threads have blocks of their own and share the space.
void share(const Setting& setting, int count) {
  demo::SpaceWork work = setting.work();
  CUcontext context = nullptr;
  require(setting.driver.cuCtxGetCurrent(&context) == CUDA_SUCCESS, "cuCtxGetCurrent");
  std::atomic<uint64_t> done{0};
  std::vector<std::thread> threads;
  for (int number = 0; number < count; ++number) {
    threads.emplace_back([&, number] {
      require(setting.driver.cuCtxSetCurrent(context) == CUDA_SUCCESS, "cuCtxSetCurrent");
      for (int round = 0; round < kRounds; ++round) {
        for (int block = number; block < kBlocks; block += count, ++done)
          work.advance(static_cast<size_t>(block), kSteps);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  work.wait();
  require(work.correct(), "the check of every word");
  std::printf("%d threads, %d kernels over blocks of which half fit: every word right\n", count,
              static_cast<int>(done));
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t mebibytes = static_cast<uint64_t>(argc > 1 ? std::max(std::atoi(argv[1]), 16) : 64);
  const Result<cuda::DriverTable> driver = demo::start_driver("advanced_memory_demo");
  if (!driver.ok()) {
    std::fprintf(stderr, "advanced_memory_demo: %s\n", driver.status().message().c_str());
    return 1;
  }
  const Setting setting{*driver, mebibytes / 8 * 8 * kMiB};
  for (const int kept : {0, 2, 3}) keep_some(setting, kept);
  share(setting, 4);
}
