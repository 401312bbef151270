// The handler of texture fetches. Compiled once: the sampler is scalar.
#pragma once

#include "softgpu/exec/op.h"
#include "softgpu/exec/texture.h"

namespace tessera::softgpu::exec {

// Op::aux of a fetch or an access to a surface: the number of dimensions, and
constexpr uint32_t kTextureDimensions = 3;
constexpr uint32_t kTextureLayered = 4;  // the first coordinate is the layer
constexpr uint32_t kTextureInteger = 8;  // coordinates are s32, not f32

// What is wrong with accessing that texture or surface; null where nothing is.
const char* texture_objection(Warp& warp, const Op* op, const Texture* texture, bool write);

// o: four words of result per lane, the handle (64 bits), the coordinates as words.
const Op* fetch_texture(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);

}  // namespace tessera::softgpu::exec
