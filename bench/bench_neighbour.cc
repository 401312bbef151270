// What leaves a device for the memory of another one and comes back, beside the same for the host's memory
// in the same run, as ResidentMemory moves it: in batches, granules made and mapped for each.
//
//   bench_neighbour [--rounds N] [--quick] LIBCUDA
//
// On LIBCUDA's first device, and the second. On the software GPU both are the host's memory.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "bench/granules.h"
#include "bench/median.h"
#include "memory/driver_memory.h"
#include "memory/swap/swap_store.h"
#include "virtualization/driver_loader.h"
#include "virtualization/residency/granule_copies.h"

namespace {

using namespace tessera;
using Way = vgpu::GranuleCopies::Way;

using bench::kBatch;
using bench::kGranule;
using bench::require;
using bench::seconds;

class NoBound : public memory::SwapStore::Budget {
 public:
  Status charge(uint64_t) override { return {}; }
  void credit(uint64_t) override {}
};

struct Bandwidths {
  std::vector<double> out, in;  // bytes a second
};

class Bench {
 public:
  Bench(const cuda::DriverTable& driver, memory::DriverMemory neighbour, size_t granules)
      : driver_(driver), neighbour_(std::move(neighbour)), granules_(granules) {
    require(driver.cuMemAlloc_v2(&begin_, granules * kGranule) == CUDA_SUCCESS, "cuMemAlloc");
    std::vector<uint64_t> noise(granules * kGranule / sizeof(uint64_t));
    std::mt19937_64 dice(1);
    for (uint64_t& each : noise) each = dice();
    require(driver.cuMemcpyHtoD_v2(begin_, noise.data(), granules * kGranule) == CUDA_SUCCESS, "a copy");
    auto store = memory::SwapStore::create(kGranule, {}, no_bound_);
    require(store.ok(), "a store");
    store_ = std::move(store).value();
    const auto addresses = neighbour_.reserve(granules * kGranule);
    require(addresses.ok(), "addresses");
    there_ = *addresses;
  }

  void run(int rounds) {
    to_host();  // once without being measured: its memory is there then
    host_ = {};
    for (int round = 0; round < rounds; ++round) {
      to_host();
      to_neighbour();
    }
    constexpr double kGB = 1e9;
    const double out = bench::median(host_.out), in = bench::median(host_.in);
    const double there = bench::median(far_.out), back = bench::median(far_.in);
    std::printf("%-24s %8.2f GB/s %7s %8.2f GB/s\n", "the host's memory", out / kGB, "", in / kGB);
    std::printf("%-24s %8.2f GB/s %6.2fx %8.2f GB/s %6.2fx\n", "a neighbour's", there / kGB, there / out,
                back / kGB, back / in);
  }

 private:
  vgpu::GranuleCopies copies(size_t first, Way way) {
    std::vector<uint64_t> addresses;
    for (size_t i = 0; i < kBatch; ++i) addresses.push_back(begin_ + (first + i) * kGranule);
    return {driver_, helpers_, std::move(addresses), kGranule, way};
  }
  double bandwidth(double since) const {
    return static_cast<double>(granules_ * kGranule) / (seconds() - since);
  }

  void to_host() {
    std::vector<memory::SwapStore::Kept> kept(granules_);
    double since = seconds();
    for (size_t first = 0; first < granules_; first += kBatch) {
      auto batch = copies(first, Way::kOut);
      Status status;
      require(store_->put(std::span(kept).subspan(first, kBatch), batch, status) == kBatch, "out");
    }
    host_.out.push_back(bandwidth(since));
    since = seconds();
    for (size_t first = 0; first < granules_; first += kBatch) {
      auto batch = copies(first, Way::kIn);
      const auto part = std::span(kept).subspan(first, kBatch);
      require(store_->get(part, batch).ok(), "in");
      for (const auto& each : part) store_->give_back(each);
    }
    host_.in.push_back(bandwidth(since));
  }

  void to_neighbour() {
    std::vector<memory::DeviceMemory::Handle> made;
    double since = seconds();
    for (size_t first = 0; first < granules_; first += kBatch) {
      auto batch = copies(first, Way::kOut);
      for (size_t i = 0; i < kBatch; ++i) {
        const auto granule = neighbour_.create();
        require(granule.ok(), "a granule of the neighbour");
        made.push_back(*granule);
        const uint64_t at = there_ + (first + i) * kGranule;
        require(neighbour_.map(at, std::span(&made.back(), 1)).ok(), "its mapping");
        batch.begin_between_devices(i, at);
      }
      require(batch.wait().ok(), "out");
    }
    far_.out.push_back(bandwidth(since));
    since = seconds();
    for (size_t first = 0; first < granules_; first += kBatch) {
      auto batch = copies(first, Way::kIn);
      for (size_t i = 0; i < kBatch; ++i) batch.begin_between_devices(i, there_ + (first + i) * kGranule);
      require(batch.wait().ok(), "in");
      for (size_t i = first; i < first + kBatch; ++i) {
        require(neighbour_.unmap(there_ + i * kGranule, 1).ok() && neighbour_.release(made[i]).ok(),
                "giving it back");
      }
    }
    far_.in.push_back(bandwidth(since));
  }

  const cuda::DriverTable& driver_;
  memory::DriverMemory neighbour_;
  const size_t granules_;
  vgpu::Helpers& helpers_ = *new vgpu::Helpers(vgpu::Helpers::count_for_processors(), std::nullopt);
  NoBound no_bound_;
  std::unique_ptr<memory::SwapStore> store_;
  CUdeviceptr begin_ = 0;
  uint64_t there_ = 0;
  Bandwidths host_, far_;
};

}  // namespace

int main(int argc, char** argv) {
  int rounds = 9;
  size_t granules = 128;
  const char* path = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::atoi(argv[++i]);
    } else if (std::strcmp(argv[i], "--quick") == 0) {
      rounds = 1;
      granules = 2 * kBatch;
    } else {
      path = argv[i];
    }
  }
  require(rounds > 0 && path != nullptr, "--rounds N, at least 1, and a LIBCUDA:");
  auto loaded = vgpu::load_driver(path);
  require(loaded.ok(), path);
  const cuda::DriverTable driver = *loaded;
  CUcontext context;
  int devices = 0;
  require(driver.cuInit(0) == CUDA_SUCCESS && driver.cuDeviceGetCount(&devices) == CUDA_SUCCESS, "cuInit");
  if (devices < 2) {
    std::printf("not measured: one device has no neighbour\n");
    return 0;
  }
  require(driver.cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS &&
              driver.cuCtxSetCurrent(context) == CUDA_SUCCESS,
          "a context");
  auto neighbour = memory::DriverMemory::of_peer(driver, 1, 0);
  if (!neighbour.ok()) {
    std::printf("not measured: %s\n", neighbour.status().message().c_str());
    return 0;
  }
  std::printf("%zu MiB of noise in granules of 2 MiB, %s; out and in\n", granules * kGranule >> 20, path);
  Bench(driver, std::move(neighbour).value(), granules).run(rounds);
  return 0;
}
