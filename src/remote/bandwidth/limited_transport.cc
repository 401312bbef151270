#include "remote/bandwidth/limited_transport.h"

#include <time.h>

#include <algorithm>
#include <array>

#include "common/clock.h"

namespace tessera::remote {
namespace {

constexpr size_t kMostPieces = 64;
constexpr size_t kMostAtOnce = size_t{256} << 10;  // of what is taken before it is known how much there is
constexpr uint64_t kMostSleepNs = 2'000'000;       // then the rate may have changed, or the connection ended

void sleep_ns(uint64_t ns) {
  const timespec time{0, static_cast<long>(std::min<uint64_t>(ns, 999'999'999))};
  (void)nanosleep(&time, nullptr);
}

// The first `most` bytes of `pieces`.
std::span<const iovec> cut(std::span<const iovec> pieces, size_t most,
                           std::array<iovec, kMostPieces>& space) {
  size_t count = 0;
  for (const iovec& piece : pieces.first(std::min(pieces.size(), kMostPieces))) {
    if (most == 0) break;
    space[count] = {piece.iov_base, std::min(piece.iov_len, most)};
    most -= space[count++].iov_len;
  }
  return std::span(space).first(count);
}

size_t bytes_in(std::span<const iovec> pieces) {
  size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  return total;
}

}  // namespace

size_t LimitedTransport::allow(Way way, size_t wanted) {
  size_t have = allowed(way);
  if (have < wanted) have += bandwidth_->take(way, wanted - have);
  allowed(way) = have;
  return std::min(have, wanted);
}

void LimitedTransport::gone(Way way, size_t bytes) {
  allowed(way) -= bytes;
  if (bytes > 0) bandwidth_->gone(way, bytes);
}

Result<size_t> LimitedTransport::send(std::span<const iovec> pieces) {
  const size_t all = bytes_in(pieces);
  const size_t may = allow(Way::kDownload, all);
  if (may == 0) return size_t{0};
  if (may == all) {
    auto taken = inner_->send(pieces);
    if (taken.ok()) gone(Way::kDownload, *taken);
    return taken;
  }
  std::array<iovec, kMostPieces> space;
  auto taken = inner_->send(cut(pieces, may, space));
  if (taken.ok()) gone(Way::kDownload, *taken);
  return taken;
}

Result<size_t> LimitedTransport::receive(std::span<std::byte> space) {
  const size_t may = allow(Way::kUpload, std::min(space.size(), kMostAtOnce));
  if (may == 0) return size_t{0};
  auto received = inner_->receive(space.first(may));
  if (received.ok()) gone(Way::kUpload, *received);
  return received;
}

Result<unsigned> LimitedTransport::wait(unsigned wanted, std::chrono::nanoseconds limit) {
  if (bandwidth_->is_open(Way::kDownload) && bandwidth_->is_open(Way::kUpload))
    return inner_->wait(wanted, limit);
  const uint64_t limit_ns = limit.count() > 0 ? static_cast<uint64_t>(limit.count()) : 0;
  const uint64_t end_ns = monotonic_ns() + std::min<uint64_t>(limit_ns, INT64_MAX / 2);
  for (;;) {
    const uint64_t now_ns = monotonic_ns();
    unsigned open = 0;
    uint64_t until_ns = end_ns;
    for (const Way way : kBothWays) {
      const unsigned readiness = way == Way::kDownload ? kWritable : kReadable;
      if ((wanted & readiness) == 0) continue;
      const uint64_t when = when_ns(way);
      if (when == 0) open |= readiness;
      if (when != 0) until_ns = std::min({until_ns, when, now_ns + kMostSleepNs});
    }
    const uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    if (open != 0) {
      TESSERA_ASSIGN_OR_RETURN(const unsigned ready, inner_->wait(open, std::chrono::nanoseconds(left_ns)));
      if (ready != 0) return ready;
    } else if (left_ns > 0) {
      sleep_ns(left_ns);
    }
    if (monotonic_ns() >= end_ns) return 0u;
  }
}

void LimitedTransport::count_area(size_t out, size_t in) {
  if (out > 0) bandwidth_->gone(Way::kDownload, out);
  while (in > 0) {
    const uint64_t may = bandwidth_->take(Way::kUpload, std::min(in, kMostAtOnce));
    if (may > 0) bandwidth_->gone(Way::kUpload, may);
    in -= may;
    if (may != 0) continue;
    const uint64_t when = bandwidth_->when_ns(Way::kUpload), now_ns = monotonic_ns();
    if (when > now_ns) sleep_ns(std::min(when - now_ns, kMostSleepNs));
  }
}

}  // namespace tessera::remote
