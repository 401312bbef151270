#include "virtualization/gate/copy_pace.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "common/clock.h"

namespace tessera::vgpu {
namespace {

constexpr uint64_t kLeastPiece = uint64_t{1} << 20, kFirstPiece = uint64_t{4} << 20,
                   kMostPiece = uint64_t{64} << 20;
// How long a piece is to take: much more than a call, and much less than a round of shares.
constexpr uint64_t kShortPieceNs = 500'000, kLongPieceNs = 2'000'000;
constexpr uint64_t kPiecesPerSecond = 500, kBurstsPerSecond = 100;  // where there is a rate, at least
constexpr uint64_t kMostSleepNs = 1'000'000;                        // then the rate may be another one

uint64_t burst_of(uint64_t rate) { return std::max(kLeastPiece, rate / kBurstsPerSecond); }

}  // namespace

CopyPace::Way::Way(uint64_t now_ns) : piece(kFirstPiece), bucket(0, kLeastPiece, now_ns) {}

CopyPace::CopyPace(LeaseClient& client, uint32_t device)
    : client_(client), device_(device), to_device_(monotonic_ns()), from_device_(monotonic_ns()) {}

uint64_t CopyPace::piece(HostCopy way) const {
  const uint64_t piece = const_cast<CopyPace*>(this)->of(way).piece.load(std::memory_order_relaxed);
  const uint64_t rate = client_.copy_rate(device_, way);
  return rate == 0 ? kMostPiece : std::min(piece, std::max(kLeastPiece, rate / kPiecesPerSecond));
}

void CopyPace::took(HostCopy way, uint64_t bytes, uint64_t ns) {
  std::atomic<uint64_t>& piece = of(way).piece;
  const uint64_t now = piece.load(std::memory_order_relaxed);
  if (ns < kShortPieceNs && bytes >= now) {
    piece.store(std::min(2 * now, kMostPiece), std::memory_order_relaxed);
  } else if (ns > kLongPieceNs && bytes <= now) {
    piece.store(std::max(now / 2, kLeastPiece), std::memory_order_relaxed);
  }
}

// Takes what it can of `left`; returns when there is more, or 0 where nothing is left.
uint64_t CopyPace::take(HostCopy which, uint64_t& left) {
  Way& way = of(which);
  const uint64_t said = client_.copy_rate(device_, which);
  const std::lock_guard lock(way.mutex);
  const uint64_t now_ns = monotonic_ns();
  if (said != way.rate) {
    way.rate = said;
    way.bucket.set_rate(said, burst_of(said), now_ns);
  }
  if (said == 0 || said == kAnyCopyRate) return left = 0;
  left -= way.bucket.take(left, now_ns);
  return left == 0 ? 0 : std::max<uint64_t>(way.bucket.when(std::min(left, burst_of(said)), now_ns), 1);
}

void CopyPace::wait(HostCopy way, uint64_t bytes) {
  if (client_.copy_rate(device_, way) == kAnyCopyRate) return;
  uint64_t left = bytes;
  uint64_t until_ns = take(way, left);
  if (until_ns == 0) return;
  DeviceCounters& counters = client_.counters(device_);
  const uint64_t begin_ns = monotonic_ns();
  while (until_ns != 0 && client_.attached()) {
    counters.copy_waits[static_cast<size_t>(way)].fetch_add(1, std::memory_order_relaxed);
    const uint64_t now_ns = monotonic_ns();
    const uint64_t sleep_ns = std::min(until_ns - std::min(until_ns, now_ns), kMostSleepNs);
    std::this_thread::sleep_for(std::chrono::nanoseconds(sleep_ns));
    until_ns = take(way, left);
  }
  counters.copy_wait_ns.fetch_add(monotonic_ns() - begin_ns, std::memory_order_relaxed);
}

}  // namespace tessera::vgpu
