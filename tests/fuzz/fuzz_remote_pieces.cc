// The payload of an answer, as a hostile server sends it: pieces that are plain, compressed, or said to be
// where they are not. Nothing beyond the place is written, and whatever is wrong is an error.
//
// The first byte is the size of the place, in eighths of a page; the rest the bytes of the stream.
#include <cstdlib>
#include <cstring>

#include "remote/client/bulk.h"

namespace {

using namespace tessera;          // NOLINT(google-build-using-namespace): a program
using namespace tessera::remote;  // NOLINT(google-build-using-namespace)

// Frames with these bytes in them, and then the end.
class Given final : public Transport {
 public:
  explicit Given(ByteSpan bytes) {
    add(FrameType::kStart, {});
    for (size_t at = 0; at < bytes.size();) {
      const ByteSpan part = bytes.subspan(at, std::min<size_t>(bytes.size() - at, kMaxFrameBytes));
      add(FrameType::kData, part, at);
      at += part.size();
    }
  }
  Result<size_t> send(std::span<const iovec> pieces) override {
    size_t bytes = 0;
    for (const iovec& piece : pieces) bytes += piece.iov_len;
    return bytes;
  }
  Result<size_t> receive(std::span<std::byte> space) override {
    if (at_ == frames_.size()) return Status(Code::kUnavailable, "no more");
    const size_t count = std::min(space.size(), frames_.size() - at_);
    memcpy(space.data(), frames_.data() + at_, count);
    at_ += count;
    return count;
  }
  Result<unsigned> wait(unsigned wanted, std::chrono::nanoseconds) override { return wanted; }
  void shutdown() override {}
  const char* kind() const override { return "given"; }

 private:
  void add(FrameType type, ByteSpan bytes, uint64_t value = 0) {
    LinkFrame header;
    header.type = static_cast<uint8_t>(type);
    header.length = static_cast<uint32_t>(bytes.size());
    header.value = value;
    const auto head = std::as_bytes(std::span(&header, 1));
    frames_.insert(frames_.end(), head.begin(), head.end());
    frames_.insert(frames_.end(), bytes.begin(), bytes.end());
  }

  std::vector<std::byte> frames_;
  size_t at_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t bytes = size_t{data[0]} * 512 + 1;
  Link link(std::make_unique<Given>(std::as_bytes(std::span(data, size)).subspan(1)), {});
  Bulk bulk(link);
  constexpr auto kGuard = std::byte{0xa5};
  std::vector<std::byte> place(bytes + 64, kGuard);
  (void)bulk.read_payload(std::span(place).first(bytes));
  for (size_t i = bytes; i < place.size(); ++i)
    if (place[i] != kGuard) abort();
  return 0;
}
