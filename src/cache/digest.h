// What content is called: its SHA-256.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "common/bytes.h"

namespace tessera::cache {

using Digest = std::array<std::byte, 32>;

Digest digest_of(ByteSpan bytes);
// 64 lower-case hexadecimal digits.
std::string to_hex(const Digest& digest);

}  // namespace tessera::cache
