// How much of the time at least one of several intervals lasted. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera::vgpu {

// Intervals come in any order, but one that ends before the oldest of the last kKept gaps between busy times
// is taken to be covered.
class BusyTime {
 public:
  static constexpr size_t kKept = 64;

  // [start_ns, end_ns); returns how much of it no interval before has covered.
  uint64_t add(uint64_t start_ns, uint64_t end_ns);
  void clear() { covered_.clear(); }

 private:
  struct Interval {
    uint64_t start_ns, end_ns;
  };
  std::vector<Interval> covered_;  // in order, apart from each other
};

}  // namespace tessera::vgpu
