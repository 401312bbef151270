#include "memory/codec/byte_planes.h"

#include <cassert>
#include <cstring>

namespace tessera::memory {
namespace {

template <uint32_t kWidth>
void split(const uint8_t* __restrict from, uint8_t* __restrict to, size_t numbers) {
  for (size_t i = 0; i < numbers; ++i) {
    for (uint32_t plane = 0; plane < kWidth; ++plane) to[plane * numbers + i] = from[i * kWidth + plane];
  }
}

template <uint32_t kWidth>
void join(const uint8_t* __restrict from, uint8_t* __restrict to, size_t numbers) {
  for (size_t i = 0; i < numbers; ++i) {
    for (uint32_t plane = 0; plane < kWidth; ++plane) to[i * kWidth + plane] = from[plane * numbers + i];
  }
}

}  // namespace

void split_planes(const uint8_t* from, uint8_t* to, size_t bytes, uint32_t width) {
  assert(width == 2 || width == 4);
  const size_t numbers = bytes / width, whole = numbers * width;
  width == 2 ? split<2>(from, to, numbers) : split<4>(from, to, numbers);
  std::memcpy(to + whole, from + whole, bytes - whole);
}

void join_planes(const uint8_t* from, uint8_t* to, size_t bytes, uint32_t width) {
  assert(width == 2 || width == 4);
  const size_t numbers = bytes / width, whole = numbers * width;
  width == 2 ? join<2>(from, to, numbers) : join<4>(from, to, numbers);
  std::memcpy(to + whole, from + whole, bytes - whole);
}

}  // namespace tessera::memory
