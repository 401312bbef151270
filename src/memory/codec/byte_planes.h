// Bytes of equal significance put together: first all lowest bytes of the numbers in a page, then the next,
// and so on. Exponents of neighbouring floats are alike, and compress well once nothing random stands between
// them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tessera::memory {

// `width` is 2 or 4; bytes beyond the last whole number stay at the end. `from` and `to` do not overlap.
void split_planes(const uint8_t* from, uint8_t* to, size_t bytes, uint32_t width);
void join_planes(const uint8_t* from, uint8_t* to, size_t bytes, uint32_t width);

}  // namespace tessera::memory
