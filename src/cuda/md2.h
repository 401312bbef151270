// The MD2 message digest (RFC 1319) and HMAC over it (RFC 2104). Broken as cryptography and here for one
// purpose: cudart_handshake.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tessera::cuda {

using Md2Digest = std::array<uint8_t, 16>;

class Md2 {
 public:
  Md2& update(std::span<const uint8_t> bytes);
  // The object must not be used after.
  Md2Digest finish();

 private:
  void add(uint8_t byte);
  void mix();

  std::array<uint8_t, 48> state_{};  // digest, block, digest xor block
  std::array<uint8_t, 16> checksum_{};
  uint8_t last_ = 0;  // of the checksum
  size_t filled_ = 0;
};

Md2Digest hmac_md2(std::span<const uint8_t> key, std::span<const uint8_t> message);

}  // namespace tessera::cuda
