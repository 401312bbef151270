// What one side has written in memory that both have, byte by byte: the other may have written the bytes
// beside them at the same time, and keeps those. Encoded: a bit for each byte of a span, the first the least
// of the first byte, whether it has changed; then the bytes that have, in their order.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "common/bytes.h"

namespace tessera::remote {

inline constexpr uint64_t kMostChangedSpan = uint64_t{64} << 10;  // bytes

// A span of memory with changes in it.
struct Changes {
  uint64_t address = 0, bytes = 0;
  ByteSpan encoded;  // only while it is looked at
};

// Compares `now`, which is at `address`, with `last`, brings `last` up to it, and calls `send` for what has
// changed. What comes to `now` meanwhile is sent now or the next time.
void find_changes(uint64_t address, ByteSpan now, std::span<std::byte> last,
                  const std::function<void(const Changes& changes)>& send);

// Whether that is a span with its changes: nothing is put where it is not.
bool are_changes(const Changes& changes);
// Calls `put` with each run of bytes that have changed; `offset` is its place in the span.
void each_change(const Changes& changes, const std::function<void(uint64_t offset, ByteSpan bytes)>& put);

}  // namespace tessera::remote
