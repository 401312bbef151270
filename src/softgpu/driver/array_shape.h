// What a CUDA array's descriptor means: its geometry, its texels, and how they lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "cuda/abi.h"
#include "softgpu/exec/texture.h"

namespace tessera::softgpu {

// Texels lie row by row without gaps, as do slices (or layers, or faces) and the levels of a mipmap, the
// largest first.
struct ArrayShape {
  CUDA_ARRAY3D_DESCRIPTOR descriptor{};
  uint32_t texel_bytes = 0;

  bool layered() const { return (descriptor.Flags & CUDA_ARRAY3D_LAYERED) != 0; }
  bool cubemap() const { return (descriptor.Flags & CUDA_ARRAY3D_CUBEMAP) != 0; }
  size_t rows() const { return descriptor.Height == 0 ? 1 : descriptor.Height; }
  size_t slices() const { return descriptor.Depth == 0 ? 1 : descriptor.Depth; }
  size_t pitch() const { return descriptor.Width * texel_bytes; }
  size_t slice_bytes() const { return pitch() * rows(); }
  size_t bytes() const { return slice_bytes() * slices(); }
  // The next smaller level of a mipmap; layers and faces stay as many.
  ArrayShape next_level() const;
};

// What a format's channels are, in the executor's words.
struct ChannelFormat {
  exec::Channel channel = exec::Channel::kF32;
  uint32_t channels = 1;
  bool fractions = false;  // integers that are always read as fractions: UNORM and SNORM
};
// Nothing where the format does not go with that many channels or is none that is stored here.
std::optional<ChannelFormat> channel_format(CUarray_format format, unsigned channels);

// Bytes of one texel; 0 where the format does not go with that many channels or is none that is stored here.
uint32_t texel_bytes(CUarray_format format, unsigned channels);

// Checks a descriptor. CUDA_ERROR_INVALID_VALUE where CUDA forbids it, CUDA_ERROR_NOT_SUPPORTED for block
// compression, video formats, sparse and deferred arrays and those of graphics libraries.
CUresult array_shape(const CUDA_ARRAY3D_DESCRIPTOR& descriptor, bool mipmapped, ArrayShape* shape);
// How many levels the descriptor can have.
unsigned mipmap_levels(const ArrayShape& shape);

}  // namespace tessera::softgpu
