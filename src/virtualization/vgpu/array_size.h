// How much device memory a CUDA array takes, at least: what its texels need. Padding and tiling are the
// driver's secret.
#pragma once

#include <cstdint>

#include "cuda/abi.h"

namespace tessera::vgpu {

// Bits of one texel, all channels and planes together.
uint64_t texel_bits(const CUDA_ARRAY3D_DESCRIPTOR& array);
// Saturates instead of overflowing. 0 for arrays without memory of their own (sparse, deferred mapping).
uint64_t array_bytes(const CUDA_ARRAY3D_DESCRIPTOR& array);
// All levels; levels beyond the last of the shape count nothing.
uint64_t mipmapped_array_bytes(const CUDA_ARRAY3D_DESCRIPTOR& array, unsigned int levels);

}  // namespace tessera::vgpu
