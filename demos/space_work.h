// Kernels over blocks of a memory space (tessera/memory_virtualization.h): generators of pseudo-random
// numbers that are advanced, so that each word says how often and in which order work was done on it.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/driver_table.h"
#include "tessera/memory_virtualization.h"

namespace demo {

// Ends the program with the call's message where it has failed.
void require_space(tessera_memory_status status, const char* what);

class SpaceWork {
 public:
  // So many blocks, of which so many bytes together may be on the GPU at once.
  SpaceWork(const tessera::cuda::DriverTable& driver, uint64_t device_bytes, uint64_t block_bytes,
            int blocks);
  ~SpaceWork();
  SpaceWork(const SpaceWork&) = delete;
  SpaceWork& operator=(const SpaceWork&) = delete;

  // Every number of one block `steps` further: given to the GPU, and done when the next call of this block
  // returns.
  void advance(size_t block, uint32_t steps);
  // Block after block; how long it took, with the GPU's work, in seconds.
  double round(uint32_t steps);
  void wait();
  // Every word of every block, read through the space.
  bool correct();

  tessera_memory_space* space() { return space_; }
  uint64_t address(size_t block) const { return addresses_[block]; }
  uint64_t bytes() const { return addresses_.size() * words_ * sizeof(uint32_t); }
  tessera_memory_figures figures();

 private:
  const tessera::cuda::DriverTable& driver_;
  const uint64_t words_;  // of a block
  tessera_memory_space* space_ = nullptr;
  CUmodule module_ = nullptr;
  CUfunction advance_ = nullptr;
  std::vector<uint64_t> addresses_;
  std::vector<uint32_t> steps_;  // up to now, of each block
};

}  // namespace demo
