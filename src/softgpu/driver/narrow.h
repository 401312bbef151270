// Results of the driver API's forms from before CUDA 3.2, whose addresses and sizes have 32 bits.
#pragma once

#include <cstdint>
#include <limits>

#include "common/log.h"
#include "cuda/abi.h"

namespace tessera::softgpu {

// CUDA_ERROR_OUT_OF_MEMORY where memory lies beyond what such a form can name: a program that asks for memory
// by it cannot be given this.
inline CUresult narrow_address(CUdeviceptr address, CUdeviceptr_v1* out) {
  if (address > std::numeric_limits<CUdeviceptr_v1>::max()) {
    LOG_WARN("legacy", "the address 0x%llx has more than the 32 bits of a call from before CUDA 3.2",
             static_cast<unsigned long long>(address));
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *out = static_cast<CUdeviceptr_v1>(address);
  return CUDA_SUCCESS;
}

inline unsigned narrow_size(size_t bytes) {
  constexpr size_t kMost = std::numeric_limits<unsigned>::max();
  return static_cast<unsigned>(bytes < kMost ? bytes : kMost);
}

}  // namespace tessera::softgpu
