#include "common/wide_copy.h"

#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace tessera {
namespace {

#if defined(__SSE2__)

constexpr size_t kPage = 4096, kPages = 4, kLine = 64;
constexpr size_t kAhead = 4 * kLine;  // within the page

template <CopyTo kWhere>
void copy_line(std::byte* to, const std::byte* from) {
  _mm_prefetch(reinterpret_cast<const char*>(from + kAhead), _MM_HINT_T0);
  const auto* words = reinterpret_cast<const __m128i*>(from);
  auto* place = reinterpret_cast<__m128i*>(to);
  const __m128i a = _mm_loadu_si128(words), b = _mm_loadu_si128(words + 1), c = _mm_loadu_si128(words + 2),
                d = _mm_loadu_si128(words + 3);
  if (kWhere == CopyTo::kMemory) {
    _mm_stream_si128(place, a);
    _mm_stream_si128(place + 1, b);
    _mm_stream_si128(place + 2, c);
    _mm_stream_si128(place + 3, d);
  } else {
    _mm_store_si128(place, a);
    _mm_store_si128(place + 1, b);
    _mm_store_si128(place + 2, c);
    _mm_store_si128(place + 3, d);
  }
}

// How much of it, a line of each of several pages in turn. `to` is aligned to 16 bytes.
template <CopyTo kWhere>
size_t copy_pages(std::byte* to, const std::byte* from, size_t bytes) {
  size_t done = 0;
  for (; bytes - done >= kPages * kPage; done += kPages * kPage) {
    for (size_t line = 0; line < kPage; line += kLine) {
      for (size_t page = 0; page < kPages; ++page) {
        const size_t at = done + page * kPage + line;
        copy_line<kWhere>(to + at, from + at);
      }
    }
  }
  if (kWhere == CopyTo::kMemory) _mm_sfence();  // whoever is told of it sees it
  return done;
}

#else

template <CopyTo>
size_t copy_pages(std::byte*, const std::byte*, size_t) {
  return 0;
}

#endif

}  // namespace

void wide_copy(void* to, const void* from, size_t bytes, CopyTo where) {
  auto* target = static_cast<std::byte*>(to);
  const auto* source = static_cast<const std::byte*>(from);
  if (bytes >= kWideCopyBytes) {
    const size_t head = -reinterpret_cast<uintptr_t>(target) % 16;
    std::memcpy(target, source, head);
    size_t done = head;
    done += where == CopyTo::kMemory ? copy_pages<CopyTo::kMemory>(target + head, source + head, bytes - head)
                                     : copy_pages<CopyTo::kCache>(target + head, source + head, bytes - head);
    target += done;
    source += done;
    bytes -= done;
  }
  if (bytes > 0) std::memcpy(target, source, bytes);
}

}  // namespace tessera
