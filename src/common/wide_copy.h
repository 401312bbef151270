// Copies of many pages that come from memory, not from caches: faster than memcpy, which reads one page after
// the other, as processors read ahead within a page only.
#pragma once

#include <cstddef>

namespace tessera {

enum class CopyTo {
  kCache,   // somebody is about to read it
  kMemory,  // nobody is: caches keep what they have
};

// As memcpy, from kWideCopyBytes on. Smaller copies are memcpy's.
void wide_copy(void* to, const void* from, size_t bytes, CopyTo where);

inline constexpr size_t kWideCopyBytes = size_t{64} << 10;

}  // namespace tessera
