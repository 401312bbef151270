// CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4), by the processor's own instruction where it has
// one.
#pragma once

#include <cstdint>

#include "common/bytes.h"

namespace tessera::remote {

// The checksum of what `before` stands for, continued by `bytes`; of nothing it is 0.
uint32_t crc32c(uint32_t before, ByteSpan bytes);

}  // namespace tessera::remote
