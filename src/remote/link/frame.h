// What a connection carries: frames, each a header and up to kMaxFrameBytes bytes of the stream. The stream
// itself outlives connections: a frame says where in it its bytes belong, so that a new connection goes on
// where the last one broke. Little-endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::remote {

enum class FrameType : uint8_t {
  kStart = 1,  // first on every connection; value: how many bytes of the other's stream have arrived
  kData = 2,   // value: offset in the stream of the first byte
  kAck = 3,    // value: how many bytes of the other's stream the reader has had
  kPing = 4,   // value: the sender's time, to come back
  kPong = 5,   // value: that of the ping
  kEnd = 6,    // the session ends here: an orderly farewell
};

struct LinkFrame {
  uint32_t length = 0;  // bytes that follow: kData only, 0 otherwise
  uint8_t type = 0;
  uint8_t say_when_received =
      0;  // kData: an acknowledgement is wanted once the reader has had the frame's last byte
  uint8_t reserved[2] = {};
  uint64_t value = 0;
  uint32_t checksum =
      0;  // CRC-32C of the header with 0 here, and of what follows; 0 where it was not agreed on
  uint32_t reserved_too = 0;
};
static_assert(sizeof(LinkFrame) == 24);

inline constexpr uint32_t kMaxFrameBytes = 256 << 10;
inline constexpr uint32_t kMaxCheckedFrameBytes = 64
                                                  << 10;  // these are received whole before any of it is used

}  // namespace tessera::remote
