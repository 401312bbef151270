// What an allocation costs: the pool beside a pool with a linear list, the driver's own cuMemAlloc and, for
// small blocks, mimalloc on host memory as what is possible at all. A block is freed and one of another size
// made, at a constant number of live blocks.
//
//   bench_pool [--rounds N] [--quick] [DRIVER]     DRIVER: a libcuda.so.1, to measure its cuMemAlloc too
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "bench/linear_pool.h"
#include "bench/median.h"
#include "memory/driver_memory.h"
#include "memory/pool/pool.h"
#include "memory/simulated_device.h"
#include "virtualization/driver_loader.h"

namespace {

using namespace tessera;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kKiB = 1024, kMiB = kKiB * 1024, kGiB = kMiB * 1024;

struct Allocator {
  std::function<uint64_t(uint64_t)> allocate;
  std::function<void(uint64_t)> free;
};

void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "bench_pool: %s failed\n", what);
  std::exit(1);
}

struct Figures {
  double nanoseconds = 0;  // of a call, on average
  double p99 = 0;          // of a call, with the clock's own time in it
};

// A run stops after this long: the linear list takes its time.
constexpr auto kPatience = std::chrono::seconds(2);

Figures measure(const Allocator& allocator, uint32_t live, uint64_t most_bytes, uint32_t turns) {
  std::mt19937_64 random(1);
  const auto any_size = [&] { return 1 + random() % most_bytes; };
  std::vector<uint64_t> blocks(live);
  for (uint64_t& block : blocks) require((block = allocator.allocate(any_size())) != 0, "filling");
  const auto turn = [&](auto timed) {
    uint64_t& block = blocks[random() % live];
    const uint64_t bytes = any_size();
    timed([&] { allocator.free(block); });
    timed([&] { block = allocator.allocate(bytes); });
    require(block != 0, "an allocation");
  };
  uint32_t done = 0;
  const auto untimed = [&](uint32_t most) {
    const auto begin = Clock::now();
    for (done = 0; done < most && (done % 64 != 0 || Clock::now() - begin < kPatience); ++done) {
      turn([](auto call) { call(); });
    }
    return std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
  };
  (void)untimed(2 * live);  // until blocks lie as they come to lie
  Figures figures;
  figures.nanoseconds = untimed(turns) / done / 2;
  std::vector<double> latencies;
  const auto timed = [&](auto call) {
    const auto before = Clock::now();
    call();
    latencies.push_back(std::chrono::duration<double, std::nano>(Clock::now() - before).count());
  };
  for (uint32_t i = 0; i < done; ++i) turn(timed);
  const auto p99 = latencies.begin() + static_cast<ptrdiff_t>(latencies.size() * 99 / 100);
  std::nth_element(latencies.begin(), p99, latencies.end());
  figures.p99 = *p99;
  for (const uint64_t block : blocks) allocator.free(block);
  return figures;
}

Figures median_of(int rounds, const std::function<Figures()>& run) {
  std::vector<double> averages, p99s;
  for (int round = 0; round < rounds; ++round) {
    const Figures figures = run();
    averages.push_back(figures.nanoseconds);
    p99s.push_back(figures.p99);
  }
  return {bench::median(averages), bench::median(p99s)};
}

Allocator on_pool(memory::Pool& pool) {
  return {[&pool](uint64_t bytes) {
            const Result<uint64_t> made = pool.allocate(bytes);
            return made.ok() ? *made : 0;
          },
          [&pool](uint64_t address) { require(pool.free(address).ok(), "a free"); }};
}

// Opened by name: a program linked with it would have all its memory from it.
struct Mimalloc {
  void* (*allocate)(size_t) = nullptr;
  void (*free)(void*) = nullptr;

  Mimalloc() {
    void* library = dlopen("libmimalloc.so", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    allocate = reinterpret_cast<void* (*)(size_t)>(dlsym(library, "mi_malloc"));
    free = reinterpret_cast<void (*)(void*)>(dlsym(library, "mi_free"));
  }
};

struct Case {
  const char* name;
  uint32_t live;
  uint64_t most_bytes;
};

class Bench {
 public:
  Bench(int rounds, bool quick, const cuda::DriverTable* driver)
      : rounds_(rounds), turns_(quick ? 2000 : 300'000), driver_(driver) {}

  void run(const Case& one) {
    const Figures pool = median_of(rounds_, [&] {
      memory::SimulatedDevice device(4096 * kGiB / memory::DeviceMemory::kLeastGranularity);
      memory::Pool own(device);
      return measure(on_pool(own), one.live, one.most_bytes, turns_);
    });
    print(one, "the pool", pool, pool);
    print(one, "linear list",
          median_of(rounds_,
                    [&] {
                      bench::LinearPool list(uint64_t{1} << 40, 4096 * kGiB);
                      return measure({[&](uint64_t bytes) { return list.allocate(bytes); },
                                      [&](uint64_t address) { list.free(address); }},
                                     one.live, one.most_bytes, turns_);
                    }),
          pool);
    if (driver_ != nullptr) run_driver(one, pool);
    if (one.most_bytes <= memory::kLargestSmall) run_mimalloc(one, pool);
  }

 private:
  void run_mimalloc(const Case& one, const Figures& pool) {
    if (mimalloc_.allocate == nullptr || mimalloc_.free == nullptr) {
      std::printf("mimalloc is not measured: there is no libmimalloc.so\n");
      return;
    }
    const Allocator host{
        [&](uint64_t bytes) { return reinterpret_cast<uint64_t>(mimalloc_.allocate(bytes)); },
        [&](uint64_t address) { mimalloc_.free(reinterpret_cast<void*>(address)); }};
    print(one, "mimalloc (host)",
          median_of(rounds_, [&] { return measure(host, one.live, one.most_bytes, turns_); }), pool);
  }

  void run_driver(const Case& one, const Figures& pool) {
    print(one, "the driver's cuMemAlloc",
          median_of(rounds_,
                    [&] {
                      return measure({[&](uint64_t bytes) {
                                        CUdeviceptr made = 0;
                                        return driver_->cuMemAlloc_v2(&made, bytes) == CUDA_SUCCESS ? made
                                                                                                    : 0;
                                      },
                                      [&](uint64_t address) {
                                        require(driver_->cuMemFree_v2(address) == CUDA_SUCCESS, "cuMemFree");
                                      }},
                                     one.live, one.most_bytes, turns_);
                    }),
          pool);
    print(one, "the pool, on the driver",
          median_of(rounds_,
                    [&] {
                      Result<memory::DriverMemory> device =
                          memory::DriverMemory::of_device(*driver_, 0, false);
                      require(device.ok(), "DriverMemory");
                      memory::Pool own(*device);
                      const Figures figures = measure(on_pool(own), one.live, one.most_bytes, turns_);
                      require(own.close().ok(), "closing the pool");
                      return figures;
                    }),
          pool);
  }

  static void print(const Case& one, const char* what, const Figures& figures, const Figures& pool) {
    std::printf("%-28s %-24s %10.0f ns  p99 %9.0f ns  %8.2f x the pool\n", one.name, what,
                figures.nanoseconds, figures.p99, figures.nanoseconds / pool.nanoseconds);
    std::fflush(stdout);
  }

  const int rounds_;
  const uint32_t turns_;
  const cuda::DriverTable* driver_;
  const Mimalloc mimalloc_;
};

// Sizes log-uniform from 512 bytes to 64 MiB, at 90 % of a device: what fails, and what it costs.
void fragmentation(uint32_t requests) {
  constexpr uint64_t kCapacity = 16 * kGiB;
  memory::SimulatedDevice device(kCapacity / memory::DeviceMemory::kLeastGranularity);
  memory::Pool pool(device);
  std::mt19937_64 random(1);
  std::uniform_real_distribution<> bits(9, 26);
  std::vector<std::pair<uint64_t, uint64_t>> live;  // address, bytes
  uint64_t bytes_live = 0, failed = 0;
  for (uint32_t request = 0; request < requests; ++request) {
    const auto bytes = static_cast<uint64_t>(std::exp2(bits(random)));
    while (bytes_live + bytes > kCapacity / 10 * 9) {
      std::swap(live[random() % live.size()], live.back());
      bytes_live -= live.back().second;
      require(pool.free(live.back().first).ok(), "a free");
      live.pop_back();
    }
    const Result<uint64_t> made = pool.allocate(bytes);
    failed += made.ok() ? 0 : 1;
    if (!made.ok()) continue;
    live.emplace_back(*made, bytes);
    bytes_live += bytes;
  }
  const memory::PoolStats stats = pool.stats();
  std::printf(
      "90 %% fill, 512 B to 64 MiB: %llu of %u requests failed; 1 - peak active / peak reserved = %.1f %%; "
      "%.2f granules moved a request\n",
      static_cast<unsigned long long>(failed), requests,
      100 -
          100 * static_cast<double>(stats.peak_active_bytes) / static_cast<double>(stats.peak_reserved_bytes),
      static_cast<double>(stats.stitched_granules) / requests);
}

Result<cuda::DriverTable> start_driver(const char* path) {
  setenv("SOFTGPU_MEMORY", "1TiB", 0);  // addresses: nobody touches the memory
  TESSERA_ASSIGN_OR_RETURN(cuda::DriverTable driver, vgpu::load_driver(path));
  CUcontext context = nullptr;
  const bool started = driver.cuInit(0) == CUDA_SUCCESS &&
                       driver.cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS &&
                       driver.cuCtxSetCurrent(context) == CUDA_SUCCESS;
  if (!started) return Status(Code::kUnavailable, "the driver has no device");
  return driver;
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 3;
  bool quick = false;
  const char* path = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::max(std::atoi(argv[++i]), 1);
    } else if (std::strcmp(argv[i], "--quick") == 0) {
      quick = true;
    } else {
      path = argv[i];
    }
  }
  Result<cuda::DriverTable> driver =
      path != nullptr ? start_driver(path) : Status(Code::kNotFound, "none given");
  if (!driver.ok())
    std::printf("the driver's cuMemAlloc is not measured: %s\n", driver.status().message().c_str());
  Bench bench(rounds, quick, driver.ok() ? &*driver : nullptr);
  for (const Case& one :
       {Case{"  1,000 blocks up to 4 MiB", 1000, 4 * kMiB},
        Case{" 10,000 blocks up to 4 MiB", 10'000, 4 * kMiB},
        Case{"100,000 blocks up to 4 MiB", 100'000, 4 * kMiB}, Case{"  1,000 blocks up to 1 MiB", 1000, kMiB},
        Case{" 10,000 blocks up to 1 MiB", 10'000, kMiB}, Case{"100,000 blocks up to 1 MiB", 100'000, kMiB},
        Case{"  1,000 blocks up to 8 KiB", 1000, 8 * kKiB},
        Case{"100,000 blocks up to 8 KiB", 100'000, 8 * kKiB}}) {
    if (!quick || one.live == 1000) bench.run(one);
  }
  fragmentation(quick ? 5000 : 200'000);
}
