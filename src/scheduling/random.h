// splitmix64: the same draws on every machine, from one seed.
#pragma once

#include <cmath>
#include <cstdint>

namespace tessera::scheduling {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 to bound - 1.
  uint64_t below(uint64_t bound) { return next() % bound; }
  uint64_t between(uint64_t low, uint64_t high) { return low + below(high - low + 1); }
  bool one_in(uint64_t count) { return below(count) == 0; }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  // Times between events of a Poisson process.
  uint64_t exponential(uint64_t mean) {
    return static_cast<uint64_t>(-std::log1p(-uniform()) * static_cast<double>(mean));
  }

 private:
  uint64_t state_;
};

}  // namespace tessera::scheduling
