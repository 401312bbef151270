// What content is called: its SHA-256.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "common/bytes.h"

namespace tessera::cache {

using Digest = std::array<std::byte, 32>;

Digest digest_of(ByteSpan bytes);

// The same, of bytes that come piece by piece.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(Digester&&) noexcept;
  Digester& operator=(Digester&&) noexcept;

  void add(ByteSpan bytes);
  Digest take();  // nothing is added after it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// 64 lower-case hexadecimal digits.
std::string to_hex(const Digest& digest);

}  // namespace tessera::cache
