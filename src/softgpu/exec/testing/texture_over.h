// Textures over numbers of a test's own.
#pragma once

#include <bit>
#include <vector>

#include "softgpu/exec/texture.h"

namespace tessera::softgpu::exec {

// Must not outlive the texels. One row is one dimension.
template <class T>
Texture texture_over(const std::vector<T>& texels, Channel channel, uint32_t width, uint32_t height = 1) {
  Texture texture;
  TextureLevel& level = texture.levels[0];
  level.address = reinterpret_cast<uint64_t>(texels.data());
  level.extent = {width, height, 1};
  level.row_bytes = width * sizeof(T);
  level.slice_bytes = level.row_bytes * height;
  texture.dimensions = height == 1 ? 1 : 2;
  texture.channel = channel;
  return texture;
}

inline float red(const Texel& texel) { return std::bit_cast<float>(texel[0]); }

}  // namespace tessera::softgpu::exec
