// The input of a fuzz target as a source of decisions. At its end every decision is 0.
#pragma once

#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>

namespace tessera::fuzz {

class Bytes {
 public:
  explicit Bytes(std::span<const uint8_t> input) : rest_(input) {}

  bool empty() const { return rest_.empty(); }
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const uint8_t first = rest_[0];
    rest_ = rest_.subspan(1);
    return first;
  }
  uint32_t below(uint32_t bound) { return byte() % bound; }
  bool coin() { return (byte() & 1) != 0; }

  template <typename T, size_t N>
  T one_of(const T (&choices)[N]) {
    static_assert(N <= 256);
    return choices[below(N)];
  }

 private:
  std::span<const uint8_t> rest_;
};

}  // namespace tessera::fuzz
