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
  // One time in 32. Calls have several arguments: were each often wrong, few would come to anything.
  bool rarely() { return byte() >= 248; }

  template <typename T, size_t N>
  T one_of(const T (&choices)[N]) {
    static_assert(N <= 256);
    return choices[below(N)];
  }
  // What a right program would say, and rarely something else.
  template <typename T, size_t N, size_t M>
  T one_of(const T (&right)[N], const T (&wrong)[M]) {
    static_assert(N <= 248);
    return rarely() ? one_of(wrong) : one_of(right);
  }

 private:
  std::span<const uint8_t> rest_;
};

}  // namespace tessera::fuzz
