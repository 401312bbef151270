// Shared memory in which the other side writes what it likes, between and during our reads and writes:
// nothing beyond the ring is touched, and never more is read or written than there can be.
//
// The input is steps of nine bytes: what to do, and a number for it.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "remote/transport/shm_ring.h"

namespace {

using tessera::remote::RingControl;

constexpr size_t kRing = 4096;

struct Ring {
  RingControl control{};
  std::vector<std::byte> bytes = std::vector<std::byte>(kRing);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto in = std::make_unique<Ring>(), out = std::make_unique<Ring>();
  tessera::remote::RingReader reader(&in->control, in->bytes.data(), kRing);
  tessera::remote::RingWriter writer(&out->control, out->bytes.data(), kRing);
  std::vector<std::byte> space(2 * kRing);
  for (; size >= 9; data += 9, size -= 9) {
    uint64_t number;
    std::memcpy(&number, data + 1, sizeof number);
    // Often somewhere near what is possible.
    if ((data[0] & 0x80) != 0) number %= 3 * kRing;
    const size_t count = number % space.size();
    if ((data[0] & 3) == 0) in->control.written = number;
    if ((data[0] & 3) == 1) out->control.read = number;
    if ((data[0] & 3) == 2) {
      const auto got = reader.read(std::span(space).first(count), [&] {
        if ((data[0] & 0x40) != 0) in->control.written += number;
      });
      if (got.ok() && *got > count) std::abort();
    }
    if ((data[0] & 3) == 3) {
      const auto put = writer.write(std::span(space).first(count), [&] {
        if ((data[0] & 0x40) != 0) out->control.read += number;
      });
      if (put.ok() && *put > count) std::abort();
    }
    (void)reader.ready();
    (void)reader.much_room();
    (void)writer.ready();
  }
  return 0;
}
