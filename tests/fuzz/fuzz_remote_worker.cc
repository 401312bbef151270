// A session's process that serves a client which sends what it likes: messages of every kind, to a driver
// that touches all that it is given (tests/fuzz/remote). Nothing is read or written where it should not be,
// and the session ends when its connection does.
//
// The input: eight bytes for the driver's answers, then the decisions of composer.h.
#include <mutex>

#include "remote/link/link.h"
#include "remote/worker/worker.h"
#include "tests/fuzz/remote/composer.h"
#include "tests/fuzz/remote/touching_driver.h"

namespace {

using namespace tessera;  // NOLINT(google-build-using-namespace): a program of its own
using namespace tessera::remote;

constexpr size_t kMostMessages = 64;
constexpr uint64_t kMostSent = 4 << 20;  // then the client has gone

// A connection to a client that is made up as its bytes are asked for.
class FuzzedClient final : public Transport {
 public:
  explicit FuzzedClient(fuzz::Decisions& decisions) : in_(decisions), composer_(decisions) {
    composer_.hello(stream_);
    put_frame(FrameType::kStart, 0, {});
  }

  Result<size_t> send(std::span<const iovec> pieces) override {
    std::lock_guard lock(lock_);
    if (is_over_) return gone();
    size_t taken = 0;
    for (const iovec& piece : pieces) {
      composer_.learn({static_cast<const std::byte*>(piece.iov_base), piece.iov_len});
      taken += piece.iov_len;
    }
    sent_ += taken;
    is_over_ = sent_ > kMostSent;
    return taken;
  }

  Result<size_t> receive(std::span<std::byte> space) override {
    std::lock_guard lock(lock_);
    if (at_ == bytes_.size() && !make_more()) return gone();
    const size_t count = std::min(space.size(), bytes_.size() - at_);
    memcpy(space.data(), bytes_.data() + at_, count);
    at_ += count;
    return count;
  }

  Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds) override { return wanted; }
  void shutdown() override {
    std::lock_guard lock(lock_);
    is_over_ = true;
  }
  const char* kind() const override { return "fuzzed"; }

 private:
  static Status gone() { return {Code::kUnavailable, "the client has gone"}; }

  bool make_more() {
    if (is_over_ || (stream_.empty() && (in_.empty() || messages_ == kMostMessages))) return false;
    bytes_.clear();
    at_ = 0;
    if (stream_.empty()) {
      composer_.next(stream_);
      ++messages_;
    }
    for (size_t at = 0; at < stream_.size(); at += kMaxFrameBytes) {
      put_frame(FrameType::kData, offset_ + at,
                ByteSpan(stream_).subspan(at, std::min<size_t>(kMaxFrameBytes, stream_.size() - at)));
    }
    offset_ += stream_.size();
    stream_.clear();
    return true;
  }

  void put_frame(FrameType type, uint64_t value, ByteSpan payload) {
    LinkFrame frame;
    frame.type = static_cast<uint8_t>(type);
    frame.length = static_cast<uint32_t>(payload.size());
    frame.value = value;
    const ByteSpan head = std::as_bytes(std::span(&frame, 1));
    bytes_.insert(bytes_.end(), head.begin(), head.end());
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
  }

  fuzz::Decisions& in_;
  fuzz::Composer composer_;
  std::mutex lock_;
  std::vector<std::byte> stream_, bytes_;
  size_t at_ = 0, messages_ = 0;
  uint64_t offset_ = 0, sent_ = 0;
  bool is_over_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Decisions decisions({data, size});
  fuzz::seed_driver(decisions.word(8));
  {
    Link link(std::make_unique<FuzzedClient>(decisions), {});
    Worker worker(link, fuzz::touching_driver());
    (void)worker.run();
    fuzz::join_host_functions();
  }
  fuzz::free_managed();
  return 0;
}
