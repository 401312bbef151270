#include "memory/codec/compressor.h"

#include <lz4.h>
#include <snappy.h>
#include <zstd.h>

#include <algorithm>
#include <cassert>
#include <vector>

namespace tessera::memory {
namespace {

constexpr int kZstdLevel = 1;  // higher ones cost more time than their bytes take to move

const char* chars(std::span<const uint8_t> bytes) { return reinterpret_cast<const char*>(bytes.data()); }
char* chars(std::span<uint8_t> bytes) { return reinterpret_cast<char*>(bytes.data()); }

}  // namespace

// Made when they are first used: most codecs of connections never compress anything.
struct Compressor::State {
  std::vector<uint64_t> lz4;
  ZSTD_CCtx* zstd = nullptr;
  ZSTD_DCtx* unzstd = nullptr;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    ZSTD_freeCCtx(zstd);
    ZSTD_freeDCtx(unzstd);
  }

  void* lz4_state() {
    if (lz4.empty()) lz4.resize((static_cast<size_t>(LZ4_sizeofState()) + 7) / 8);
    return lz4.data();
  }
  ZSTD_CCtx* zstd_state() {
    if (zstd == nullptr) zstd = ZSTD_createCCtx();
    return zstd;
  }
  ZSTD_DCtx* unzstd_state() {
    if (unzstd == nullptr) unzstd = ZSTD_createDCtx();
    return unzstd;
  }
};

Compressor::Compressor() : state_(std::make_unique<State>()) {}
Compressor::~Compressor() = default;
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;

size_t Compressor::bound(size_t bytes) {
  return std::max({static_cast<size_t>(LZ4_compressBound(static_cast<int>(bytes))), ZSTD_compressBound(bytes),
                   snappy::MaxCompressedLength(bytes)});
}

size_t Compressor::compress(Compression compression, std::span<const uint8_t> from, std::span<uint8_t> to) {
  assert(to.size() >= bound(from.size()));
  switch (compression) {
    case Compression::kLz4: {
      const int made =
          LZ4_compress_fast_extState(state_->lz4_state(), chars(from), chars(to),
                                     static_cast<int>(from.size()), static_cast<int>(to.size()), 1);
      return made > 0 ? static_cast<size_t>(made) : 0;
    }
    case Compression::kZstd: {
      if (state_->zstd_state() == nullptr) return 0;
      const size_t made =
          ZSTD_compressCCtx(state_->zstd, to.data(), to.size(), from.data(), from.size(), kZstdLevel);
      return ZSTD_isError(made) != 0 ? 0 : made;
    }
    case Compression::kSnappy: {
      size_t made = to.size();
      snappy::RawCompress(chars(from), from.size(), chars(to), &made);
      return made;
    }
    default:
      assert(false);
      return 0;
  }
}

bool Compressor::decompress(Compression compression, std::span<const uint8_t> from, std::span<uint8_t> to) {
  switch (compression) {
    case Compression::kLz4: {
      const int made = LZ4_decompress_safe(chars(from), chars(to), static_cast<int>(from.size()),
                                           static_cast<int>(to.size()));
      return made >= 0 && static_cast<size_t>(made) == to.size();
    }
    case Compression::kZstd:
      return state_->unzstd_state() != nullptr &&
             ZSTD_decompressDCtx(state_->unzstd, to.data(), to.size(), from.data(), from.size()) == to.size();
    case Compression::kSnappy: {
      size_t bytes = 0;
      return snappy::GetUncompressedLength(chars(from), from.size(), &bytes) && bytes == to.size() &&
             snappy::RawUncompress(chars(from), from.size(), chars(to));
    }
    default:
      return false;
  }
}

}  // namespace tessera::memory
