// txq and suq: what a texture or a surface says of itself.
#pragma once

#include <cstdint>

#include "softgpu/exec/op.h"
#include "softgpu/exec/texture.h"

namespace tessera::softgpu::exec {

enum class TextureQuery : uint32_t {
  kWidth,
  kHeight,
  kDepth,
  kArraySize,  // layers; 0 where it has none
  kChannelDataType,
  kChannelOrder,
  kMipmapLevels,  // 0 without mipmaps
  kSamples,       // 0: none has several
  kNormalizedCoordinates,
  kForceUnnormalizedCoordinates,  // 0: a property of samplers apart from textures, which there are not
  kFilterMode,
  kAddressMode0,
  kAddressMode1,
  kAddressMode2,
  kMemoryLayout,  // 0: surfaces are never linear memory
};

// Enumerations are PTX's, "Texture Sampler and Surface Types": OpenCL's numbers for channels. A dimension
// that the texture has not is 1. A level that it has not is the nearest that it has.
uint32_t answer_of(const Texture& texture, TextureQuery query, int32_t level);

// o: the answer (32 bits), the handle (64 bits), the level (32 bits). Op::aux: TextureQuery.
const Op* query_texture(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);
const Op* query_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);

}  // namespace tessera::softgpu::exec
