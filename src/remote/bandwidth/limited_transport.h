// A Transport that keeps to a session's bandwidth: what is beyond it is not sent, and not received, until its
// time has come; the client then waits as it would for a slower link.
#pragma once

#include <atomic>
#include <memory>

#include "remote/bandwidth/session_bandwidth.h"
#include "remote/transport/transport.h"

namespace tessera::remote {

class LimitedTransport final : public Transport {
 public:
  // The server's end.
  LimitedTransport(std::unique_ptr<Transport> inner, std::shared_ptr<SessionBandwidth> bandwidth)
      : inner_(std::move(inner)), bandwidth_(std::move(bandwidth)) {}

  Result<size_t> send(std::span<const iovec> pieces) override;
  Result<size_t> receive(std::span<std::byte> space) override;
  Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds limit) override;
  void shutdown() override { inner_->shutdown(); }
  SharedArea* area_out() override { return inner_->area_out(); }
  SharedArea* area_in() override { return inner_->area_in(); }
  bool is_area_open() override { return bandwidth_->is_open(Way::kDownload); }
  void count_area(size_t out, size_t in) override;
  const char* kind() const override { return inner_->kind(); }

 private:
  // Up to `wanted` bytes: those that were allowed before and have not gone come first.
  size_t allow(Way way, size_t wanted);
  void gone(Way way, size_t bytes);
  std::atomic<size_t>& allowed(Way way) {
    return way == Way::kDownload ? allowed_download_ : allowed_upload_;
  }
  // When the way is open; 0: now.
  uint64_t when_ns(Way way) { return allowed(way) > 0 ? 0 : bandwidth_->when_ns(way); }

  const std::unique_ptr<Transport> inner_;
  const std::shared_ptr<SessionBandwidth> bandwidth_;
  // Taken from the bandwidth, and not gone yet. Each is whoever sends' or receives' alone; others look at it.
  std::atomic<size_t> allowed_download_{0}, allowed_upload_{0};
};

}  // namespace tessera::remote
