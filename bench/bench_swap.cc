// What leaves a device and comes back: the bandwidth of the store behind it (memory/swap/swap_store.h) beside
// that of plain copies of the same granules in the same run, for noise, which does not compress.
//
//   bench_swap [--rounds N] [--quick] [--directory DIR] [LIBCUDA]
//
// With LIBCUDA the granules lie on its first device, and the floor is its own copies of them; else they lie
// in memory, and the floor is memcpy. --directory: the store in files of that folder, too.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/granules.h"
#include "bench/median.h"
#include "memory/swap/swap_store.h"
#include "virtualization/driver_loader.h"

namespace {

using namespace tessera;
using namespace tessera::memory;

using bench::kBatch;
using bench::kGranule;
using bench::require;
using bench::seconds;

// Granules in memory, each touched.
class Plain {
 public:
  explicit Plain(size_t granules) : bytes_(granules * kGranule) {
    void* const made = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(made != MAP_FAILED, "mmap");
    madvise(made, bytes_, MADV_HUGEPAGE);
    begin_ = static_cast<uint8_t*>(made);
    std::memset(begin_, 1, bytes_);
  }
  ~Plain() { munmap(begin_, bytes_); }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;

  uint8_t* at(size_t granule) { return begin_ + granule * kGranule; }
  void fill_with_noise() {
    std::mt19937_64 dice(1);
    for (size_t i = 0; i < bytes_; i += 8) {
      const uint64_t value = dice();
      std::memcpy(begin_ + i, &value, 8);
    }
  }

 private:
  size_t bytes_;
  uint8_t* begin_;
};

// Where granules lie that are moved.
class Device {
 public:
  virtual ~Device() = default;
  virtual Status out(size_t granule, uint8_t* host) = 0;
  virtual Status in(size_t granule, const uint8_t* host) = 0;
  virtual Status wait() { return {}; }
};

class MemoryDevice : public Device {
 public:
  explicit MemoryDevice(size_t granules) : memory_(granules) {}
  Status out(size_t granule, uint8_t* host) override {
    std::memcpy(host, memory_.at(granule), kGranule);
    return {};
  }
  Status in(size_t granule, const uint8_t* host) override {
    std::memcpy(memory_.at(granule), host, kGranule);
    return {};
  }

 private:
  Plain memory_;
};

class CudaDevice : public Device {
 public:
  CudaDevice(const cuda::DriverTable& driver, size_t granules) : driver_(driver) {
    require(driver.cuMemAlloc_v2(&begin_, granules * kGranule) == CUDA_SUCCESS, "cuMemAlloc");
  }
  Status out(size_t granule, uint8_t* host) override {
    require(
        driver_.cuMemcpyDtoHAsync_v2(host, begin_ + granule * kGranule, kGranule, nullptr) == CUDA_SUCCESS,
        "cuMemcpyDtoHAsync");
    return {};
  }
  Status in(size_t granule, const uint8_t* host) override {
    require(
        driver_.cuMemcpyHtoDAsync_v2(begin_ + granule * kGranule, host, kGranule, nullptr) == CUDA_SUCCESS,
        "cuMemcpyHtoDAsync");
    return {};
  }
  Status wait() override {
    require(driver_.cuStreamSynchronize(nullptr) == CUDA_SUCCESS, "cuStreamSynchronize");
    return {};
  }

 private:
  const cuda::DriverTable& driver_;
  CUdeviceptr begin_ = 0;
};

class Batch : public SwapStore::Transfer {
 public:
  Batch(Device& device, size_t first, bool out) : device_(device), first_(first), out_(out) {}
  Status begin(size_t number, uint8_t* host) override {
    return out_ ? device_.out(first_ + number, host) : device_.in(first_ + number, host);
  }
  Status wait() override { return device_.wait(); }

 private:
  Device& device_;
  const size_t first_;
  const bool out_;
};

class NoBound : public SwapStore::Budget {
 public:
  Status charge(uint64_t) override { return {}; }
  void credit(uint64_t) override {}
};

// A host that has none: all goes to the file.
class Nothing : public NoBound {
 public:
  Status charge(uint64_t) override { return {Code::kResourceExhausted, "none"}; }
};

struct Bandwidths {
  std::vector<double> out, in;  // bytes a second
};

class Bench {
 public:
  Bench(Device& device, size_t granules, int rounds)
      : device_(device), granules_(granules), rounds_(rounds), plain_(granules) {
    plain_.fill_with_noise();
    for (size_t i = 0; i < granules; ++i) require(device.in(i, plain_.at(i)).ok(), "a copy");
    require(device.wait().ok(), "a copy");
  }

  // All of them in turns, so that what disturbs one round disturbs each.
  void run(const std::string& directory) {
    ways_.push_back({"none", {}, {}, nullptr});
    ways_.push_back({"none, AES-256-GCM", {SwapEncoding::kNone, true, ""}, {}, nullptr});
    ways_.push_back({"adaptive", {SwapEncoding::kAdaptive, false, ""}, {}, nullptr});
    ways_.push_back({"adaptive, AES-256-GCM", {SwapEncoding::kAdaptive, true, ""}, {}, nullptr});
    ways_.push_back({"lz4", {SwapEncoding::kLz4, false, ""}, {}, nullptr});
    ways_.push_back({"zstd", {SwapEncoding::kZstd, false, ""}, {}, nullptr});
    ways_.push_back({"snappy", {SwapEncoding::kSnappy, false, ""}, {}, nullptr});
    if (!directory.empty())
      ways_.push_back({"none, in a file", {SwapEncoding::kNone, false, directory}, {}, nullptr});
    for (Way& way : ways_) {
      SwapStore::Budget& budget =
          way.options.directory.empty() ? static_cast<SwapStore::Budget&>(no_bound_) : nothing_;
      auto store = SwapStore::create(kGranule, way.options, budget);
      require(store.ok(), "a store");
      way.store = std::move(store).value();
      (void)swap(way);  // once without being measured: its memory is there then
      way.measured = {};
    }
    for (int round = 0; round < rounds_; ++round) {
      for (Way& way : ways_) {
        copy(floor_);
        swap(way);
      }
    }
    print();
  }

 private:
  struct Way {
    const char* name;
    SwapOptions options;
    Bandwidths measured;
    std::unique_ptr<SwapStore> store;
  };

  double bandwidth(double since) const {
    return static_cast<double>(granules_ * kGranule) / (seconds() - since);
  }

  void copy(Bandwidths& measured) {
    double since = seconds();
    for (size_t first = 0; first < granules_; first += kBatch) {
      for (size_t i = first; i < first + kBatch; ++i) (void)device_.out(i, plain_.at(i));
      (void)device_.wait();
    }
    measured.out.push_back(bandwidth(since));
    since = seconds();
    for (size_t first = 0; first < granules_; first += kBatch) {
      for (size_t i = first; i < first + kBatch; ++i) (void)device_.in(i, plain_.at(i));
      (void)device_.wait();
    }
    measured.in.push_back(bandwidth(since));
  }

  void swap(Way& way) {
    std::vector<SwapStore::Kept> kept(granules_);
    double since = seconds();
    for (size_t first = 0; first < granules_; first += kBatch) {
      Batch batch(device_, first, true);
      Status status;
      require(way.store->put(std::span(kept).subspan(first, kBatch), batch, status) == kBatch, way.name);
    }
    way.measured.out.push_back(bandwidth(since));
    since = seconds();
    for (size_t first = 0; first < granules_; first += kBatch) {
      Batch batch(device_, first, false);
      require(way.store->get(std::span(kept).subspan(first, kBatch), batch).ok(), way.name);
    }
    way.measured.in.push_back(bandwidth(since));
    for (const SwapStore::Kept& each : kept) way.store->give_back(each);
  }

  void print() const {
    constexpr double kGB = 1e9;
    const double out = bench::median(floor_.out), in = bench::median(floor_.in);
    std::printf("%-24s %8.2f GB/s %7s %8.2f GB/s\n", "plain copies", out / kGB, "", in / kGB);
    for (const Way& way : ways_) {
      const double way_out = bench::median(way.measured.out), way_in = bench::median(way.measured.in);
      std::printf("%-24s %8.2f GB/s %6.2fx %8.2f GB/s %6.2fx\n", way.name, way_out / kGB, way_out / out,
                  way_in / kGB, way_in / in);
    }
  }

  Device& device_;
  const size_t granules_;
  const int rounds_;
  Plain plain_;
  NoBound no_bound_;
  Nothing nothing_;
  Bandwidths floor_;
  std::vector<Way> ways_;
};

}  // namespace

int main(int argc, char** argv) {
  int rounds = 9;
  size_t granules = 128;
  std::string directory;
  const char* path = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = std::atoi(argv[++i]);
    } else if (std::strcmp(argv[i], "--quick") == 0) {
      rounds = 1;
      granules = 2 * kBatch;
    } else if (std::strcmp(argv[i], "--directory") == 0 && i + 1 < argc) {
      directory = argv[++i];
    } else {
      path = argv[i];
    }
  }
  require(rounds > 0, "--rounds N, at least 1,");
  cuda::DriverTable driver{};
  std::unique_ptr<Device> device = std::make_unique<MemoryDevice>(granules);
  if (path != nullptr) {
    auto loaded = vgpu::load_driver(path);
    require(loaded.ok(), path);
    driver = *loaded;
    CUcontext context;
    require(driver.cuInit(0) == CUDA_SUCCESS &&
                driver.cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS &&
                driver.cuCtxSetCurrent(context) == CUDA_SUCCESS,
            "the driver has no device: cuInit");
    device = std::make_unique<CudaDevice>(driver, granules);
  }
  std::printf("%zu MiB of noise in granules of 2 MiB, %s; out and in, beside plain copies\n",
              granules * kGranule >> 20, path != nullptr ? path : "in memory");
  Bench(*device, granules, rounds).run(directory);
  return 0;
}
