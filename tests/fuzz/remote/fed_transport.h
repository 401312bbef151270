// A connection whose other side is made up as its bytes are asked for.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <vector>

#include "remote/link/frame.h"
#include "remote/transport/transport.h"

namespace tessera::remote::fuzz {

inline void put(std::vector<std::byte>& bytes, ByteSpan more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}
inline void put_frame(std::vector<std::byte>& bytes, const LinkFrame& frame, ByteSpan payload) {
  put(bytes, std::as_bytes(std::span(&frame, 1)));
  put(bytes, payload);
}
inline LinkFrame frame_of(FrameType type, uint64_t value, ByteSpan payload) {
  LinkFrame frame;
  frame.type = static_cast<uint8_t>(type);
  frame.length = static_cast<uint32_t>(payload.size());
  frame.value = value;
  return frame;
}
// Whole frames of a piece of a stream.
inline void put_data(std::vector<std::byte>& bytes, uint64_t offset, ByteSpan stream) {
  for (size_t at = 0; at < stream.size(); at += kMaxFrameBytes) {
    const ByteSpan part = stream.subspan(at, std::min<size_t>(kMaxFrameBytes, stream.size() - at));
    put_frame(bytes, frame_of(FrameType::kData, offset + at, part), part);
  }
}

class FedTransport : public Transport {
 public:
  Result<size_t> send(std::span<const iovec> pieces) override {
    std::lock_guard lock(lock_);
    if (is_over_) return gone();
    size_t taken = 0;
    for (const iovec& piece : pieces) {
      is_over_ = !heard({static_cast<const std::byte*>(piece.iov_base), piece.iov_len}) || is_over_;
      taken += piece.iov_len;
    }
    return taken;
  }
  Result<size_t> receive(std::span<std::byte> space) override {
    std::lock_guard lock(lock_);
    if (at_ == bytes_.size()) {
      bytes_.clear();
      at_ = 0;
      if (is_over_ || !make_more(bytes_)) return gone();
    }
    has_none_yet_ = bytes_.empty();
    const size_t count = std::min({space.size(), bytes_.size() - at_, most_at_once()});
    memcpy(space.data(), bytes_.data() + at_, count);
    at_ += count;
    return count;
  }
  // Time passes at once: where nothing has come yet, nothing comes now.
  Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds) override {
    return has_none_yet_.exchange(false) ? wanted & ~unsigned{kReadable} : wanted;
  }
  void shutdown() override {
    std::lock_guard lock(lock_);
    is_over_ = true;
  }
  const char* kind() const override { return "fed"; }

 protected:
  // Bytes that come next, appended: none means not yet. False once there are no more.
  virtual bool make_more(std::vector<std::byte>& bytes) = 0;
  // What was sent; false once that has been enough.
  virtual bool heard(ByteSpan) { return true; }
  virtual size_t most_at_once() { return SIZE_MAX; }

  std::vector<std::byte> bytes_;  // of which the first at_ have been received

 private:
  static Status gone() { return {Code::kUnavailable, "the connection has broken"}; }

  std::mutex lock_;
  size_t at_ = 0;
  bool is_over_ = false;
  std::atomic<bool> has_none_yet_{false};
};

}  // namespace tessera::remote::fuzz
