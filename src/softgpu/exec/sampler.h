// What a texture gives between its texels: filters, mipmap levels, gathers. CUDA C++ Programming Guide,
// "Texture Fetching" and "Texture Memory".
//
// Weights of linear filtering, between texels and between levels, have 8 bits of fraction; they are rounded
// to the nearest (which way a card rounds is not documented).
#pragma once

#include <array>
#include <cstdint>

#include "softgpu/exec/texture.h"

namespace tessera::softgpu::exec {

struct TexturePoint {
  uint32_t layer = 0;                  // one that the texture has not is its last
  std::array<float, 3> at = {};        // coordinates; of a cubemap a direction
  std::array<int32_t, 3> offset = {};  // in texels, added to where that leads
};

// The level that tex.level asks for: bias added, clamped as the texture says and to the levels there are.
float level_of(const Texture& texture, float asked);
// The same for tex without a level, which has no bias: the largest that the texture allows.
float base_level(const Texture& texture);
// The same for tex.grad, from the change of the coordinates to the next pixel in x and in y: the logarithm of
// the longer way, in texels of the largest level. Ways are Euclidean; CUDA does not say how its are measured.
float level_of_gradients(const Texture& texture, const TexturePoint& point, const std::array<float, 3>& dx,
                         const std::array<float, 3>& dy);

// `level` is of one of these functions. Between two levels the nearer one counts, or both in proportion.
Texel sample(const Texture& texture, const TexturePoint& point, float level);
// One component of the four texels that a linear filter would weigh, of the largest level: counter-clockwise
// from that with the lower first and the higher second coordinate. Of textures in two dimensions.
Texel gather(const Texture& texture, const TexturePoint& point, uint32_t component);

}  // namespace tessera::softgpu::exec
