// How CUDA's batched calls say what holds for which of their operations: entry k of a list, from operation
// starts[k] on to the one before starts[k + 1].
#pragma once

#include <cstddef>

namespace tessera::softgpu {

// Whether every operation has exactly one entry.
inline bool valid_runs(const size_t* starts, size_t entries, size_t operations) {
  if (entries == 0 || entries > operations || starts == nullptr || starts[0] != 0) return false;
  for (size_t i = 1; i < entries; ++i) {
    if (starts[i] <= starts[i - 1] || starts[i] >= operations) return false;
  }
  return true;
}

// The entry of each operation, asked for one after the other.
class Runs {
 public:
  Runs(const size_t* starts, size_t entries) : starts_(starts), entries_(entries) {}
  size_t entry_of(size_t operation) {
    while (entry_ + 1 < entries_ && starts_[entry_ + 1] <= operation) ++entry_;
    return entry_;
  }

 private:
  const size_t* const starts_;
  const size_t entries_;
  size_t entry_ = 0;
};

}  // namespace tessera::softgpu
