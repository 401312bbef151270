#include "softgpu/ptx/compression.h"

#include <lz4.h>
#include <zstd.h>

#include <limits>

namespace tessera::softgpu::ptx {
namespace {

// lz4 spends a byte on at most 255 bytes of output: a larger claim is a lie, found before memory is given for
// it.
constexpr size_t kLz4MaxRatio = 255;

}  // namespace

Result<std::string> decompress_zstd(ByteSpan compressed, size_t size) {
  const unsigned long long claimed = ZSTD_getFrameContentSize(compressed.data(), compressed.size());
  if (claimed == ZSTD_CONTENTSIZE_ERROR || (claimed != ZSTD_CONTENTSIZE_UNKNOWN && claimed != size))
    return Status::error(Code::kInvalidData, "fat binary: not a zstd frame of %zu bytes", size);
  std::string text(size, '\0');
  const size_t written = ZSTD_decompress(text.data(), text.size(), compressed.data(), compressed.size());
  if (ZSTD_isError(written) != 0 || written != size)
    return Status::error(Code::kInvalidData, "fat binary: damaged zstd data (%s)",
                         ZSTD_isError(written) != 0 ? ZSTD_getErrorName(written) : "too short");
  return text;
}

Result<std::string> decompress_lz4(ByteSpan compressed, size_t size) {
  constexpr size_t kMaxInt = std::numeric_limits<int>::max();
  if (compressed.size() > kMaxInt || size > kMaxInt || size / kLz4MaxRatio > compressed.size())
    return Status::error(Code::kInvalidData, "fat binary: %zu bytes of lz4 cannot hold %zu",
                         compressed.size(), size);
  std::string text(size, '\0');
  const int written = LZ4_decompress_safe(reinterpret_cast<const char*>(compressed.data()), text.data(),
                                          static_cast<int>(compressed.size()), static_cast<int>(size));
  if (written < 0 || static_cast<size_t>(written) != size)
    return Status::error(Code::kInvalidData, "fat binary: damaged lz4 data");
  return text;
}

}  // namespace tessera::softgpu::ptx
