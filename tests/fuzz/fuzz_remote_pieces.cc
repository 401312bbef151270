// The payload of an answer, as a hostile server sends it: pieces that are plain, compressed, or said to be
// where they are not. Nothing beyond the place is written, and whatever is wrong is an error.
//
// The first byte is the size of the place, in eighths of a page; the rest the bytes of the stream.
#include <cstdlib>

#include "remote/client/bulk.h"
#include "tests/fuzz/remote/fed_transport.h"

namespace {

using namespace tessera;          // NOLINT(google-build-using-namespace): a program
using namespace tessera::remote;  // NOLINT(google-build-using-namespace)

// Frames with these bytes in them, and then the end.
class Given final : public fuzz::FedTransport {
 public:
  explicit Given(ByteSpan bytes) {
    fuzz::put_frame(bytes_, fuzz::frame_of(FrameType::kStart, 0, {}), {});
    fuzz::put_data(bytes_, 0, bytes);
  }

 private:
  bool make_more(std::vector<std::byte>&) override { return false; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t bytes = size_t{data[0]} * 512 + 1;
  Link link(std::make_unique<Given>(std::as_bytes(std::span(data, size)).subspan(1)), {});
  Bulk bulk(link);
  if (data[0] % 2 == 0) (void)link.readable(std::chrono::nanoseconds(0));  // as who waits to send does
  constexpr auto kGuard = std::byte{0xa5};
  std::vector<std::byte> place(bytes + 64, kGuard);
  (void)bulk.read_payload(std::span(place).first(bytes));
  for (size_t i = bytes; i < place.size(); ++i)
    if (place[i] != kGuard) abort();
  return 0;
}
