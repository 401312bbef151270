// How much of a fragmented GPU is still of use: the driver's own allocator, a pool that lies in one piece, as
// many frameworks have, and Tessera's pool get the same requests; then each is asked for the largest block
// that it can give. Every word of every block is checked.
//
//   defrag_demo [MEBIBYTES]     of the GPU, at most; 512 if not said.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "bench/linear_pool.h"
#include "common/size.h"
#include "demos/demo_driver.h"
#include "memory/driver_memory.h"
#include "memory/pool/pool.h"

namespace {

using namespace tessera;
using demo::require;

// The driver's memory, of which no more than so much is to be had.
class BoundedMemory : public memory::DeviceMemory {
 public:
  BoundedMemory(memory::DeviceMemory& below, uint64_t bytes)
      : below_(below), left_(bytes / below.granularity()) {}

  uint64_t granularity() const override { return below_.granularity(); }
  Result<uint64_t> reserve(uint64_t bytes) override { return below_.reserve(bytes); }
  Status unreserve(uint64_t address, uint64_t bytes) override { return below_.unreserve(address, bytes); }
  Result<Handle> create() override {
    if (left_ == 0) return Status(Code::kResourceExhausted, "no more is to be had");
    Result<Handle> made = below_.create();
    if (made.ok()) --left_;
    return made;
  }
  Status release(Handle granule) override {
    Status released = below_.release(granule);
    if (released.ok()) ++left_;
    return released;
  }
  Status map(uint64_t address, std::span<const Handle> granules) override {
    return below_.map(address, granules);
  }
  Status unmap(uint64_t address, uint64_t granules) override { return below_.unmap(address, granules); }

 private:
  memory::DeviceMemory& below_;
  uint64_t left_;
};

struct Allocator {
  const char* name;
  std::function<uint64_t(uint64_t)> allocate;  // 0: refused
  std::function<void(uint64_t)> free;
};

// One round of the demonstration, with one allocator.
class Round {
 public:
  Round(const cuda::DriverTable& driver, const Allocator& allocator, uint64_t bytes)
      : driver_(driver), allocator_(allocator), bytes_(bytes) {}

  void run() {
    fill();
    free_half();
    const uint64_t free_bytes = bytes_ - live_bytes();
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t largest = find_largest(free_bytes);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    for (const Block& block : blocks_) require(holds(block), "a block's contents: the check");
    std::printf(
        "%-22s %9s in %zu blocks, %9s free; largest block %9s, %5.1f %% of it (%.1f ms to find); %s\n",
        allocator_.name, format_size(live_bytes()).c_str(), blocks_.size(), format_size(free_bytes).c_str(),
        format_size(largest).c_str(), 100 * static_cast<double>(largest) / static_cast<double>(free_bytes),
        took.count(), "every word is as it was");
    for (const Block& block : blocks_) allocator_.free(block.address);
  }

 private:
  struct Block {
    uint64_t address, bytes;
    uint32_t word;
  };

  uint64_t live_bytes() const {
    return std::accumulate(blocks_.begin(), blocks_.end(), uint64_t{0},
                           [](uint64_t sum, const Block& block) { return sum + block.bytes; });
  }

  // Sizes log-uniform from 4 KiB to 1/16 of all, up to 95 %.
  void fill() {
    std::uniform_real_distribution<> bits(12, std::log2(static_cast<double>(bytes_)) - 4);
    uint64_t live = 0;
    for (uint32_t number = 1;; ++number) {
      const uint64_t bytes = static_cast<uint64_t>(std::exp2(bits(random_))) / 4 * 4;
      if (live + bytes > bytes_ / 100 * 95) return;
      const uint64_t address = allocator_.allocate(bytes);
      if (address == 0) return;
      require(driver_.cuMemsetD32_v2(address, number, bytes / 4) == CUDA_SUCCESS, "cuMemsetD32");
      blocks_.push_back({address, bytes, number});
      live += bytes;
    }
  }

  void free_half() {
    std::shuffle(blocks_.begin(), blocks_.end(), random_);
    const uint64_t all = live_bytes();
    for (uint64_t freed = 0; freed < all / 2; blocks_.pop_back()) {
      freed += blocks_.back().bytes;
      allocator_.free(blocks_.back().address);
    }
  }

  // To a hundredth of what is free.
  uint64_t find_largest(uint64_t free_bytes) {
    for (uint64_t percent = 100; percent > 0; --percent) {
      const uint64_t bytes = free_bytes / 100 * percent;
      const uint64_t address = allocator_.allocate(bytes);
      if (address == 0) continue;
      require(driver_.cuMemsetD32_v2(address, ~0u, bytes / 4) == CUDA_SUCCESS, "cuMemsetD32");
      require(driver_.cuCtxSynchronize() == CUDA_SUCCESS, "cuCtxSynchronize");
      allocator_.free(address);
      return bytes;
    }
    return 0;
  }

  bool holds(const Block& block) {
    std::vector<uint32_t> words(block.bytes / 4);
    require(driver_.cuMemcpyDtoH_v2(words.data(), block.address, words.size() * 4) == CUDA_SUCCESS,
            "cuMemcpyDtoH");
    return std::all_of(words.begin(), words.end(), [&](uint32_t word) { return word == block.word; });
  }

  const cuda::DriverTable& driver_;
  const Allocator& allocator_;
  const uint64_t bytes_;
  std::mt19937_64 random_{1};  // the same requests for all
  std::vector<Block> blocks_;
};

// All memory beyond `bytes` is taken, so that the driver's own allocator has no more than that.
uint64_t leave_free(const cuda::DriverTable& driver, uint64_t bytes) {
  size_t free = 0, total = 0;
  require(driver.cuMemGetInfo_v2(&free, &total) == CUDA_SUCCESS, "cuMemGetInfo");
  require(free >= bytes, "finding so much free memory");
  CUdeviceptr ballast = 0;
  if (free - bytes < 2 * kMiB) return 0;
  require(driver.cuMemAlloc_v2(&ballast, free - bytes) == CUDA_SUCCESS, "taking the rest of the memory");
  return ballast;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t bytes = static_cast<uint64_t>(argc > 1 ? std::max(std::atoi(argv[1]), 64) : 512) * kMiB;
  Result<cuda::DriverTable> driver = demo::start_driver("defrag_demo");
  Result<memory::DriverMemory> memory =
      driver.ok() ? memory::DriverMemory::of_device(*driver, 0, false) : driver.status();
  if (!memory.ok()) {
    std::fprintf(stderr, "defrag_demo: %s\n", memory.status().message().c_str());
    return 1;
  }
  const uint64_t ballast = leave_free(*driver, bytes);
  Round(*driver,
        {"the driver's own",
         [&](uint64_t size) {
           CUdeviceptr made = 0;
           return driver->cuMemAlloc_v2(&made, size) == CUDA_SUCCESS ? made : 0;
         },
         [&](uint64_t address) { require(driver->cuMemFree_v2(address) == CUDA_SUCCESS, "cuMemFree"); }},
        bytes)
      .run();
  CUdeviceptr piece = 0;
  require(driver->cuMemAlloc_v2(&piece, bytes) == CUDA_SUCCESS, "taking one piece");
  bench::LinearPool one_piece(piece, bytes);
  Round(*driver,
        {"a pool in one piece", [&](uint64_t size) { return one_piece.allocate(size); },
         [&](uint64_t address) { one_piece.free(address); }},
        bytes)
      .run();
  require(driver->cuMemFree_v2(piece) == CUDA_SUCCESS, "cuMemFree");
  if (ballast != 0) require(driver->cuMemFree_v2(ballast) == CUDA_SUCCESS, "cuMemFree");

  BoundedMemory bounded(*memory, bytes);
  memory::Pool pool(bounded, {.region_bytes = 8 * bytes});
  Round(*driver,
        {"Tessera's pool",
         [&](uint64_t size) {
           const Result<uint64_t> made = pool.allocate(size);
           return made.ok() ? *made : 0;
         },
         [&](uint64_t address) { require(pool.free(address).ok(), "a free"); }},
        bytes)
      .run();
  std::printf("%llu granules of %s were moved to other addresses, and no block was\n",
              static_cast<unsigned long long>(pool.stats().stitched_granules),
              format_size(bounded.granularity()).c_str());
  require(pool.close().ok(), "giving everything back");
}
