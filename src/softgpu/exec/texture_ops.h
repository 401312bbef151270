// The handler of texture fetches. Compiled once: the sampler is scalar.
#pragma once

#include "softgpu/exec/op.h"
#include "softgpu/exec/texture.h"

namespace tessera::softgpu::exec {

// Op::aux of a fetch or an access to a surface: the number of dimensions, and
constexpr uint32_t kTextureDimensions = 3;
constexpr uint32_t kTextureLayered = 4;    // the first coordinate is the layer
constexpr uint32_t kTextureCubemap = 8;    // two dimensions; the coordinates are a direction
constexpr uint32_t kTextureInteger = 16;   // coordinates, and the level, are s32, not f32
constexpr uint32_t kTextureLevel = 32;     // the level follows
constexpr uint32_t kTextureGradient = 64;  // the steps in x and in y follow, each as long as the coordinates
constexpr uint32_t kTextureOffset = 128;   // an offset for each dimension follows
constexpr uint32_t kTextureHalf = 256;     // floats of the result become f16, two in a word
constexpr uint32_t kTextureGather = 512;   // tld4, of the component Op::aux2

// What is wrong with accessing that texture or surface; null where nothing is.
const char* texture_objection(Warp& warp, const Op* op, const Texture* texture, bool write);

// o: the words of result, the handle (64 bits), the coordinates and what follows them as words.
const Op* fetch_texture(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);

}  // namespace tessera::softgpu::exec
