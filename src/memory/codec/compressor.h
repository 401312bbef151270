// The compressing libraries behind one call, with what they keep between calls. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "memory/codec/page_format.h"

namespace tessera::memory {

class Compressor {
 public:
  Compressor();
  ~Compressor();
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;

  // Room that compress() needs for `bytes`: the libraries are fastest when they need not look for an end.
  static size_t bound(size_t bytes);

  // kLz4, kZstd or kSnappy. `to` has the bound's room; the answer is how much of it was used, 0 where it
  // failed.
  size_t compress(Compression compression, std::span<const uint8_t> from, std::span<uint8_t> to);
  // Whether it filled `to`, neither less nor more. Safe for any bytes.
  bool decompress(Compression compression, std::span<const uint8_t> from, std::span<uint8_t> to);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::memory
