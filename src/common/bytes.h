// Reading bytes that nobody vouches for: every access is checked, nothing is trusted to be aligned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace tessera {

using ByteSpan = std::span<const std::byte>;

// Whether [offset, offset + size) lies inside `total` bytes, without overflow.
constexpr bool range_fits(uint64_t offset, uint64_t size, uint64_t total) {
  return size <= total && offset <= total - size;
}

// A little-endian value at `offset`, or nothing where it would run over the end.
template <typename T>
std::optional<T> read_at(ByteSpan bytes, size_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (!range_fits(offset, sizeof(T), bytes.size())) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// A part of `bytes`, or nothing where it would run over the end.
std::optional<ByteSpan> slice_at(ByteSpan bytes, size_t offset, size_t size);

}  // namespace tessera
