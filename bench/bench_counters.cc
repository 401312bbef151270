// What counting a launch costs: the vGPU's own code around a launch that nothing else is done for, where no
// gate is in the way, beside the bare additions to a page that another process reads.
//
//   bench_counters [CALLS]     of each measurement; 1000000 if not said
//
// It fails where counts are wrong, or where counting reads the clock.
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bench/median.h"
#include "virtualization/vgpu/vgpu.h"

namespace {
uint64_t clock_reads = 0;
}  // namespace

// In the place of libc's for all that is linked into this program, as the vGPU's code is.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  ++clock_reads;
  return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
}

namespace {

using namespace tessera::vgpu;

constexpr int kRounds = 15;

// As the page of a lease: shared, though nobody else has it here.
DeviceCounters& shared_counters() {
  void* page = mmap(nullptr, sizeof(CounterPage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) std::abort();
  return static_cast<CounterPage*>(page)->devices[0];
}

template <typename Work>
double ns_per_call(int calls, Work work) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  for (int i = 0; i < calls; ++i) {
    work();
    asm volatile("" ::: "memory");  // the loop stays, and each turn of it looks anew
  }
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / calls;
}

// Less the loop, and beside one bare addition, which are measured in turns with it.
template <typename Work>
void measure(const char* what, int calls, DeviceCounters& counters, Work work) {
  std::vector<double> added_ns, bare_ns;
  for (int round = 0; round < kRounds; ++round) {
    const double loop_ns = ns_per_call(calls, [] {});
    bare_ns.push_back(
        ns_per_call(calls, [&] { counters.allocations.fetch_add(1, std::memory_order_relaxed); }) - loop_ns);
    added_ns.push_back(ns_per_call(calls, work) - loop_ns);
  }
  const double added = tessera::bench::median(added_ns), bare = tessera::bench::median(bare_ns);
  printf("%-44s %6.2f ns (median of %d)   %6.2f ns the longest   %5.2f times a bare addition (%.2f ns)\n",
         what, added, kRounds, *std::max_element(added_ns.begin(), added_ns.end()), added / bare, bare);
}

}  // namespace

int main(int argc, char** argv) {
  const int calls = argc > 1 ? std::clamp(atoi(argv[1]), 1, 1'000'000'000) : 1'000'000;
  DeviceCounters& counters = shared_counters();
  static const tessera::cuda::DriverTable kNone{};
  static Vgpu vgpu(kNone, kNone, SliceAccess());
  measure("a launch counted, and its device found", calls, counters,
          [] { vgpu.launching(nullptr, nullptr).done(CUDA_SUCCESS, false); });
  measure("a cooperative one, which counts twice", calls, counters, [] {
    vgpu.launching(nullptr, nullptr).done(CUDA_SUCCESS, false, &DeviceCounters::cooperative_launches);
  });
  const Vgpu::Launching launching{counters, nullptr, {}};
  measure("a launch counted in a page of a lease", calls, counters,
          [&] { launching.done(CUDA_SUCCESS, false); });
  const uint64_t read = clock_reads;
  if (read != 0) {
    fprintf(stderr, "the clock was read %llu times\n", static_cast<unsigned long long>(read));
    return 1;
  }
  const uint64_t counted = counters.launches.load(),
                 wanted = uint64_t{kRounds} * static_cast<uint64_t>(calls);
  if (counted == wanted && vgpu.current_counters().launches.load() == 2 * wanted) return 0;
  fprintf(stderr, "%llu launches were counted, not %llu\n", static_cast<unsigned long long>(counted),
          static_cast<unsigned long long>(wanted));
  return 1;
}
