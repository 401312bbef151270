// How much more memory a program is about to need, by how it has grown of late. Pure: it is told of growth,
// and of the time.
//
// A program that loads its data goes on to ask for more; one that works on it does not. Neither says so, and
// its limit says little: it may be far more than it ever needs.
#pragma once

#include <cstdint>

namespace tessera::memory {

class NeedForecast {
 public:
  // What has grown so long ago counts half.
  static constexpr uint64_t kHalfLifeNs = 1'000'000'000;

  // It has so much more since `now_ns`, for which it had waited so long: time in which it could not grow.
  void grew(uint64_t bytes, uint64_t waited_ns, uint64_t now_ns);
  // It has given back so much by itself.
  void shrank(uint64_t bytes);
  // What it may need beyond what it has, until it has worked for as long again.
  uint64_t growth_bytes(uint64_t now_ns) const;

 private:
  double bytes_ = 0;  // at
  uint64_t at_ns_ = 0;
};

}  // namespace tessera::memory
