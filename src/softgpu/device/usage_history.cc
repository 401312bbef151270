#include "softgpu/device/usage_history.h"

#include <algorithm>

namespace tessera::softgpu {

void UsageHistory::add(uint64_t begin_ns, uint64_t end_ns) {
  // Older parts than the ring would only overwrite newer ones.
  const uint64_t oldest = end_ns / kBucketNs > kBuckets ? (end_ns / kBucketNs - kBuckets + 1) * kBucketNs : 0;
  begin_ns = std::max(begin_ns, oldest);
  while (begin_ns < end_ns) {
    const uint64_t epoch = begin_ns / kBucketNs;
    const uint64_t part_end = std::min(end_ns, (epoch + 1) * kBucketNs);
    Bucket& bucket = buckets_[epoch % kBuckets];
    if (bucket.epoch != epoch) bucket = {epoch, 0};
    bucket.busy_ns += part_end - begin_ns;
    begin_ns = part_end;
  }
}

uint64_t UsageHistory::busy_ns(uint64_t now_ns, uint64_t window_ns) const {
  window_ns = std::min({window_ns, kLongestWindowNs, now_ns});
  const uint64_t begin = now_ns - window_ns;
  uint64_t total = 0;
  for (const Bucket& bucket : buckets_) {
    const uint64_t from = bucket.epoch * kBucketNs;
    const uint64_t to = std::min(from + kBucketNs, now_ns);
    if (bucket.busy_ns == 0 || to <= begin || from >= now_ns) continue;
    const uint64_t inside = to - std::max(from, begin);
    total += bucket.busy_ns * inside / (to - from);
  }
  return total;
}

}  // namespace tessera::softgpu
