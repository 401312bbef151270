// Busy time of the recent past, in shared memory: a ring of short buckets. Written under the device file's
// lock.
#pragma once

#include <atomic>
#include <cstdint>

namespace tessera::softgpu {

class UsageHistory {
 public:
  static constexpr uint64_t kBucketNs = 100'000'000;
  static constexpr uint64_t kBuckets = 32;
  static constexpr uint64_t kLongestWindowNs = (kBuckets - 2) * kBucketNs;

  // One slot was busy from `begin_ns` to `end_ns`.
  void add(uint64_t begin_ns, uint64_t end_ns);
  // Slot nanoseconds within [now - window, now]. Buckets that the window cuts count in proportion.
  uint64_t busy_ns(uint64_t now_ns, uint64_t window_ns) const;

 private:
  struct Bucket {
    uint64_t epoch = 0;  // time / kBucketNs
    uint64_t busy_ns = 0;
  };
  Bucket buckets_[kBuckets] = {};
};

}  // namespace tessera::softgpu
