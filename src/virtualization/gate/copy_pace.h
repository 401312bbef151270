// How fast a process copies between the host and one device while several tenants of the device do: as the
// daemon says in the slice's grant page (memory/qos/copy_shares.h).
//
// Where nobody looks at it a copy costs a look at the page. Elsewhere copies are made in pieces that take
// about a millisecond: so it shows how they get on, and who is held is held between them.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "common/token_bucket.h"
#include "virtualization/lease/client.h"

namespace tessera::vgpu {

class CopyPace {
 public:
  // `device` is the slice's index.
  CopyPace(LeaseClient& client, uint32_t device);
  CopyPace(const CopyPace&) = delete;
  CopyPace& operator=(const CopyPace&) = delete;

  bool is_watched() const { return client_.copy_rate(device_, HostCopy::kToDevice) != 0; }
  // How much to copy at a time.
  uint64_t piece(HostCopy way) const;
  // Before so much is copied: until it may be. Where there is no daemon any more nobody waits.
  void wait(HostCopy way, uint64_t bytes);
  // So much was copied at a time, in `ns`.
  void took(HostCopy way, uint64_t bytes, uint64_t ns);

 private:
  struct Way {
    std::atomic<uint64_t> piece;
    std::mutex mutex;  // of what follows
    TokenBucket bucket;
    uint64_t rate = kAnyCopyRate;

    explicit Way(uint64_t now_ns);
  };
  Way& of(HostCopy way) { return way == HostCopy::kToDevice ? to_device_ : from_device_; }
  uint64_t take(HostCopy way, uint64_t& left);

  LeaseClient& client_;
  const uint32_t device_;
  Way to_device_, from_device_;
};

}  // namespace tessera::vgpu
