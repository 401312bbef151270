// Ten kernels on the driver that libcuda.so.1 is, beside plain C++ (-O2) on all of the machine's processors.
// Both results are compared before anything is timed.
//
// usage: bench_kernels [--rounds N] [--small]
// "ratio" is device time over host time: medians of N rounds each, taken in turns. Copies are not in it.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <string_view>
#include <thread>

#include "../tests/programs/driver/driver_check.h"
#include "host_kernels.h"
#include "median.h"

extern "C" const char vector_add_ptx[], mandelbrot_ptx[], matmul_ptx[], reduction_ptx[], scan_ptx[],
    histogram_ptx[], stencil_ptx[], black_scholes_ptx[], transpose_ptx[], nbody_ptx[];

namespace tessera::bench {
namespace {

using check::blocks_for;
using check::DeviceArray;
using check::launch;

struct Options {
  int rounds = 7;
  uint32_t scale = 8;  // of the problems' sizes; 1 with --small
};

// `work(begin, end, part)` for equal parts of [0, count), one on each processor.
template <typename Work>
void on_all_processors(uint32_t count, Work work) {
  const uint32_t parts = std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (uint32_t part = 0; part < parts; ++part) {
    const auto begin = static_cast<uint32_t>(uint64_t{count} * part / parts);
    const auto end = static_cast<uint32_t>(uint64_t{count} * (part + 1) / parts);
    threads.emplace_back([=] { work(begin, end, part); });
  }
  for (std::thread& thread : threads) thread.join();
}

double milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void measure(const char* name, int rounds, const std::function<void()>& device,
             const std::function<void()>& host) {
  std::vector<double> device_ms, host_ms;
  for (int round = 0; round < rounds; ++round) {
    device_ms.push_back(milliseconds([&] {
      device();
      CU_CHECK(cuCtxSynchronize());
    }));
    host_ms.push_back(milliseconds(host));
  }
  printf("%-14s %9.2f ms device %9.2f ms host   ratio %6.2f\n", name, median(device_ms), median(host_ms),
         median(device_ms) / median(host_ms));
  fflush(stdout);
}

void run_vector_add(const Options& options) {
  const uint32_t count = options.scale << 20;
  const auto a = check::random_reals<float>(count, 1, -1, 1), b = check::random_reals<float>(count, 2, -1, 1);
  std::vector<float> sum(count);
  const check::Module module(vector_add_ptx);
  const CUfunction kernel = module.function("vector_add");
  const DeviceArray<float> da(a), db(b), dsum(count);
  auto device = [&] {
    launch(kernel, {blocks_for(count, 256)}, {256}, nullptr, da.get(), db.get(), dsum.get(), count);
  };
  auto host = [&] {
    on_all_processors(count, [&](uint32_t from, uint32_t to, uint32_t) {
      vector_add(a.data(), b.data(), sum.data(), from, to);
    });
  };
  device(), host();
  check::require_equal(dsum.download(), sum, "sum");
  measure("vector add", options.rounds, device, host);
}

void run_mandelbrot(const Options& options) {
  const uint32_t width = 512, height = 32 * options.scale;
  constexpr int kLimit = 256;
  std::vector<int> counts(width * height);
  const check::Module module(mandelbrot_ptx);
  const CUfunction kernel = module.function("mandelbrot");
  const DeviceArray<int> dcounts(counts.size());
  auto device = [&] {
    launch(kernel, {width / 32, height / 8}, {32, 8}, nullptr, dcounts.get(), width, height, kLimit);
  };
  auto host = [&] {
    on_all_processors(height, [&](uint32_t from, uint32_t to, uint32_t) {
      mandelbrot(counts.data(), width, height, kLimit, from, to);
    });
  };
  device(), host();
  check::require_equal(dcounts.download(), counts, "counts");
  measure("mandelbrot", options.rounds, device, host);
}

void run_matmul(const Options& options) {
  const uint32_t n = 64 * options.scale;
  const auto a = check::random_reals<float>(n * n, 3, -1, 1), b = check::random_reals<float>(n * n, 4, -1, 1);
  std::vector<float> c(n * n);
  const check::Module module(matmul_ptx);
  const CUfunction kernel = module.function("matmul_tiled");
  const DeviceArray<float> da(a), db(b), dc(c.size());
  auto device = [&] { launch(kernel, {n / 16, n / 16}, {16, 16}, nullptr, da.get(), db.get(), dc.get(), n); };
  auto host = [&] {
    on_all_processors(
        n, [&](uint32_t from, uint32_t to, uint32_t) { matmul(a.data(), b.data(), c.data(), n, from, to); });
  };
  device(), host();
  check::require_near(dc.download(), c, 1e-4, 1e-3, "product");
  measure("tiled matmul", options.rounds, device, host);
}

void run_reduction(const Options& options) {
  const uint32_t count = options.scale << 20;
  constexpr unsigned kBlocks = 64;
  const auto values = check::random_integers<int>(count, 5);
  std::vector<int> total(1);
  const check::Module module(reduction_ptx);
  const CUfunction kernel = module.function("reduce");
  const DeviceArray<int> dvalues(values), dsums(kBlocks), dtotal(1);
  auto device = [&] {
    launch(kernel, {kBlocks}, {256}, nullptr, dvalues.get(), count, dsums.get(), dtotal.get());
  };
  auto host = [&] {
    std::atomic<uint32_t> sum{0};
    on_all_processors(count, [&](uint32_t from, uint32_t to, uint32_t) {
      sum += static_cast<uint32_t>(reduce(values.data(), from, to));
    });
    total[0] = static_cast<int>(sum.load());
  };
  device(), host();
  check::require_equal(dtotal.download(), total, "total");
  measure("reduction", options.rounds, device, host);
}

// Runs of 1024, then the runs' sums, and so on up; then down again.
void scan_on_device(CUfunction runs, CUfunction add, const std::vector<const DeviceArray<int>*>& levels,
                    CUdeviceptr values) {
  constexpr unsigned kRun = 1024;
  CUdeviceptr from = values;
  for (size_t level = 0; level + 1 < levels.size(); ++level) {
    const auto count = static_cast<uint32_t>(levels[level]->bytes() / sizeof(int));
    launch(runs, {blocks_for(count, kRun)}, {256}, nullptr, from, levels[level]->get(),
           levels[level + 1]->get(), count);
    from = levels[level + 1]->get();
    if (level + 2 == levels.size()) break;
  }
  for (size_t level = levels.size() - 2; level-- > 0;) {
    const auto count = static_cast<uint32_t>(levels[level]->bytes() / sizeof(int));
    launch(add, {blocks_for(count, kRun)}, {256}, nullptr, levels[level]->get(), levels[level + 1]->get(),
           count);
  }
}

void run_scan(const Options& options) {
  const uint32_t count = options.scale << 19;  // at most 1024 runs of 1024 runs
  const auto values = check::random_integers<int>(count, 6);
  std::vector<int> sums(count);
  const check::Module module(scan_ptx);
  const CUfunction runs = module.function("scan_runs"), add = module.function("add_before");
  const DeviceArray<int> dvalues(values), first(count), second(blocks_for(count, 1024)),
      third(blocks_for(second.bytes() / sizeof(int), 1024)), total(1);
  auto device = [&] { scan_on_device(runs, add, {&first, &second, &third, &total}, dvalues.get()); };
  auto host = [&] {
    std::vector<int> part_sums(std::max(1u, std::thread::hardware_concurrency()));
    on_all_processors(count, [&](uint32_t from, uint32_t to, uint32_t part) {
      part_sums[part] = scan(values.data(), sums.data(), from, to);
    });
    on_all_processors(count, [&](uint32_t from, uint32_t to, uint32_t part) {
      add_before(sums.data(), reduce(part_sums.data(), 0, part), from, to);
    });
  };
  device(), host();
  check::require_equal(first.download(), sums, "sums");
  measure("scan", options.rounds, device, host);
}

void run_histogram(const Options& options) {
  const uint32_t count = options.scale << 20;
  constexpr uint32_t kBins = 64;
  const auto bytes = check::random_integers<unsigned char>(count, 7);
  std::vector<uint32_t> bins(kBins);
  const check::Module module(histogram_ptx);
  const CUfunction kernel = module.function("histogram");
  const DeviceArray<unsigned char> dbytes(bytes);
  DeviceArray<uint32_t> dbins(kBins);
  auto device = [&] {
    dbins.fill(0);
    launch(kernel, {64}, {256}, nullptr, dbytes.get(), count, dbins.get());
  };
  auto host = [&] {
    std::vector<std::vector<uint32_t>> parts(std::max(1u, std::thread::hardware_concurrency()),
                                             std::vector<uint32_t>(kBins));
    on_all_processors(count, [&](uint32_t from, uint32_t to, uint32_t part) {
      histogram(bytes.data(), parts[part].data(), from, to);
    });
    std::fill(bins.begin(), bins.end(), 0u);
    for (const auto& part : parts) {
      for (uint32_t bin = 0; bin < kBins; ++bin) bins[bin] += part[bin];
    }
  };
  device(), host();
  check::require_equal(dbins.download(), bins, "bins");
  measure("histogram", options.rounds, device, host);
}

void run_stencil(const Options& options) {
  const uint32_t width = 2048, height = 256 * options.scale;
  const auto from_grid = check::random_reals<float>(width * height, 8, 0, 1);
  std::vector<float> to_grid(from_grid.size());
  const check::Module module(stencil_ptx);
  const CUfunction kernel = module.function("stencil");
  const DeviceArray<float> dfrom(from_grid), dto(to_grid.size());
  auto device = [&] {
    launch(kernel, {width / 32, height / 8}, {32, 8}, nullptr, dfrom.get(), dto.get(), width, height);
  };
  auto host = [&] {
    on_all_processors(height, [&](uint32_t from, uint32_t to, uint32_t) {
      stencil(from_grid.data(), to_grid.data(), width, height, from, to);
    });
  };
  device(), host();
  check::require_equal(dto.download(), to_grid, "grid");
  measure("stencil", options.rounds, device, host);
}

void run_black_scholes(const Options& options) {
  const uint32_t count = options.scale << 17;
  constexpr float kRate = 0.02f, kVolatility = 0.3f;
  const auto price = check::random_reals<float>(count, 9, 5, 30),
             strike = check::random_reals<float>(count, 10, 1, 100),
             years = check::random_reals<float>(count, 11, 0.25, 10);
  std::vector<float> call(count), put(count);
  const check::Module module(black_scholes_ptx);
  const CUfunction kernel = module.function("black_scholes");
  const DeviceArray<float> dprice(price), dstrike(strike), dyears(years), dcall(count), dput(count);
  auto device = [&] {
    launch(kernel, {blocks_for(count, 256)}, {256}, nullptr, dprice.get(), dstrike.get(), dyears.get(),
           dcall.get(), dput.get(), kRate, kVolatility, count);
  };
  auto host = [&] {
    on_all_processors(count, [&](uint32_t from, uint32_t to, uint32_t) {
      black_scholes(price.data(), strike.data(), years.data(), call.data(), put.data(), kRate, kVolatility,
                    from, to);
    });
  };
  device(), host();
  check::require_near(dcall.download(), call, 1e-4, 1e-3, "calls");
  check::require_near(dput.download(), put, 1e-4, 1e-3, "puts");
  measure("Black-Scholes", options.rounds, device, host);
}

void run_transpose(const Options& options) {
  const uint32_t width = 2048, height = 256 * options.scale;
  const auto from_matrix = check::random_reals<float>(width * height, 12, 0, 1);
  std::vector<float> to_matrix(from_matrix.size());
  const check::Module module(transpose_ptx);
  const CUfunction kernel = module.function("transpose");
  const DeviceArray<float> dfrom(from_matrix), dto(to_matrix.size());
  auto device = [&] {
    launch(kernel, {width / 32, height / 32}, {32, 8}, nullptr, dfrom.get(), dto.get(), width, height);
  };
  auto host = [&] {
    on_all_processors(height, [&](uint32_t from, uint32_t to, uint32_t) {
      transpose(from_matrix.data(), to_matrix.data(), width, height, from, to);
    });
  };
  device(), host();
  check::require_equal(dto.download(), to_matrix, "matrix");
  measure("transpose", options.rounds, device, host);
}

void run_nbody(const Options& options) {
  const uint32_t count = 512 * options.scale;
  std::vector<Body> bodies(count);
  check::Random random(13);
  for (Body& body : bodies) {
    for (float* field : {&body.x, &body.y, &body.z, &body.mass})
      *field = static_cast<float>(random.uniform(0, 1));
  }
  std::vector<float> ax(count), ay(count), az(count);
  const check::Module module(nbody_ptx);
  const CUfunction kernel = module.function("accelerations");
  const DeviceArray<Body> dbodies(bodies);
  const DeviceArray<float> dx(count), dy(count), dz(count);
  auto device = [&] {
    launch(kernel, {blocks_for(count, 256)}, {256}, nullptr, dbodies.get(), dx.get(), dy.get(), dz.get(),
           count);
  };
  auto host = [&] {
    on_all_processors(count, [&](uint32_t from, uint32_t to, uint32_t) {
      accelerations(bodies.data(), ax.data(), ay.data(), az.data(), count, from, to);
    });
  };
  device(), host();
  check::require_near(dx.download(), ax, 1e-3, 1e-2 * count, "ax");
  check::require_near(dy.download(), ay, 1e-3, 1e-2 * count, "ay");
  check::require_near(dz.download(), az, 1e-3, 1e-2 * count, "az");
  measure("n-body", options.rounds, device, host);
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--small") {
      options.scale = 1;
    } else if (std::string_view(argv[i]) == "--rounds" && i + 1 < argc) {
      options.rounds = std::clamp(atoi(argv[++i]), 1, 1000);
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  using namespace tessera::bench;
  Options options;
  if (!parse(argc, argv, options)) {
    fprintf(stderr, "usage: %s [--rounds N] [--small]\n", argv[0]);
    return 2;
  }
  const check::Context context;
  char name[128] = "";
  CU_CHECK(cuDeviceGetName(name, sizeof name, context.device()));
  printf("%s beside %u processors\n", name, std::thread::hardware_concurrency());
  for (auto run : {run_vector_add, run_mandelbrot, run_matmul, run_reduction, run_scan, run_histogram,
                   run_stencil, run_black_scholes, run_transpose, run_nbody}) {
    run(options);
  }
  return 0;
}
