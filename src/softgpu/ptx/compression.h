// Decompression of what fat binaries hold.
#pragma once

#include <string>

#include "common/bytes.h"
#include "common/status.h"

namespace tessera::softgpu::ptx {

// One zstd frame, or one raw lz4 block, of exactly `size` bytes once decompressed; anything else is
// kInvalidData.
Result<std::string> decompress_zstd(ByteSpan compressed, size_t size);
Result<std::string> decompress_lz4(ByteSpan compressed, size_t size);

}  // namespace tessera::softgpu::ptx
