// How long kernels ran, counted by their lengths.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace tessera::cuda {

// A kernel is counted with the first bound that it did not exceed, and beside the total alone beyond the
// last.
inline constexpr uint64_t kRunTimeBoundsNs[] = {
    4'000, 16'000, 64'000, 256'000, 1'000'000, 4'000'000, 16'000'000, 64'000'000, 256'000'000, 1'000'000'000};
inline constexpr size_t kRunTimeBuckets = std::size(kRunTimeBoundsNs);

struct DeviceRunTimes {
  uint64_t kernels;
  uint64_t total_ns;
  uint64_t buckets[kRunTimeBuckets];
};

// Any thread.
class RunTimes {
 public:
  void add(uint64_t ns) {
    for (size_t i = 0; i < kRunTimeBuckets; ++i) {
      if (ns > kRunTimeBoundsNs[i]) continue;
      buckets_[i].fetch_add(1, std::memory_order_relaxed);
      break;
    }
    total_ns_.fetch_add(ns, std::memory_order_relaxed);
    kernels_.fetch_add(1, std::memory_order_release);
  }
  // Never more in its buckets than kernels.
  DeviceRunTimes read() const {
    DeviceRunTimes times{};
    for (size_t i = 0; i < kRunTimeBuckets; ++i)
      times.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
    times.total_ns = total_ns_.load(std::memory_order_relaxed);
    uint64_t counted = 0;
    for (const uint64_t count : times.buckets) counted += count;
    const uint64_t kernels = kernels_.load(std::memory_order_acquire);
    times.kernels = kernels < counted ? counted : kernels;
    return times;
  }

 private:
  std::atomic<uint64_t> kernels_{0}, total_ns_{0};
  std::atomic<uint64_t> buckets_[kRunTimeBuckets]{};
};

}  // namespace tessera::cuda
