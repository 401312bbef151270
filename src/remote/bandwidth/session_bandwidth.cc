#include "remote/bandwidth/session_bandwidth.h"

#include <algorithm>

#include "common/clock.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kBurstPerSecond = 1000;    // of fast links, what comes in a millisecond
constexpr uint64_t kLeastBytes = 1500;        // or waking for them would cost more than they carry;
constexpr uint64_t kWakesPerSecond = 10'000;  // of fast links, more

}  // namespace

SessionBandwidth::SessionBandwidth(BandwidthPage* page)
    : download_(&page->download, monotonic_ns()), upload_(&page->upload, monotonic_ns()) {}

void SessionBandwidth::OneWay::follow(uint64_t now_ns) {
  const uint64_t said = page->rate.load(std::memory_order_relaxed);
  if (said == rate) return;
  rate = said;
  bucket.set_rate(said, std::max(kBurstBytes, said / kBurstPerSecond), now_ns);
}

uint64_t SessionBandwidth::OneWay::least() const {
  return std::min(std::max(kLeastBytes, rate / kWakesPerSecond), kBurstBytes / 2);
}

uint64_t SessionBandwidth::take(Way way, uint64_t wanted) {
  OneWay& its = one(way);
  if (its.is_open()) return wanted;
  const std::lock_guard lock(its.mutex);
  const uint64_t now_ns = monotonic_ns();
  its.follow(now_ns);
  if (its.rate == BandwidthPage::kUnlimited) return wanted;
  if (its.bucket.when(std::min(wanted, its.least()), now_ns) <= now_ns)
    return its.bucket.take(wanted, now_ns);
  its.page->held_up.fetch_add(1, std::memory_order_relaxed);
  return 0;
}

void SessionBandwidth::gone(Way way, uint64_t bytes) {
  one(way).page->gone.fetch_add(bytes, std::memory_order_relaxed);
}

uint64_t SessionBandwidth::when_ns(Way way) {
  OneWay& its = one(way);
  if (its.is_open()) return 0;
  const std::lock_guard lock(its.mutex);
  const uint64_t now_ns = monotonic_ns();
  its.follow(now_ns);
  if (its.rate == BandwidthPage::kUnlimited) return 0;
  const uint64_t when_ns = its.bucket.when(its.least(), now_ns);
  return when_ns <= now_ns ? 0 : when_ns;
}

}  // namespace tessera::remote
