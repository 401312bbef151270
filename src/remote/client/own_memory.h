// Memory of this process that may be there no more, or may never have been: asked for, rather than touched.
#pragma once

#include <cstdint>
#include <span>

#include "common/bytes.h"

namespace tessera::remote {

// False where not all of it could be read, or written: some of it may have been.
bool read_own(uint64_t address, std::span<std::byte> to);
bool write_own(uint64_t address, ByteSpan from);

}  // namespace tessera::remote
