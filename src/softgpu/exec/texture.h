// Textures as the executor sees them, and their texels: CUDA C++ Programming Guide, "Texture Fetching".
// Filters and mipmaps are in sampler.h.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace tessera::softgpu::exec {

enum class Channel : uint8_t { kU8, kU16, kU32, kS8, kS16, kS32, kF16, kF32 };
constexpr uint32_t channel_bytes(Channel channel) {
  switch (channel) {
    case Channel::kU8:
    case Channel::kS8:
      return 1;
    case Channel::kU16:
    case Channel::kS16:
    case Channel::kF16:
      return 2;
    case Channel::kU32:
    case Channel::kS32:
    case Channel::kF32:
      break;
  }
  return 4;
}

enum class AddressMode : uint8_t { kWrap, kClamp, kMirror, kBorder };

constexpr uint32_t kCubeFaces = 6;

// One picture of a mipmap, or the only one.
struct TextureLevel {
  uint64_t address = 0;
  std::array<uint32_t, 3> extent = {1, 1, 1};  // in texels; 1 in the dimensions it has not
  uint64_t row_bytes = 0, slice_bytes = 0;     // from one row, and from one slice, layer or face, to the next
};

struct Texture {
  std::vector<TextureLevel> levels = std::vector<TextureLevel>(1);  // the largest first; in one allocation
  uint32_t dimensions = 1;                                          // 1 to 3; of a cubemap 2
  bool layered = false;
  bool cubemap = false;        // six faces in each layer
  bool linear_memory = false;  // one row of device memory: texels beyond it are 0
  bool mipmapped = false;      // which may still have only one level
  uint32_t layers = 1;
  Channel channel = Channel::kF32;
  uint32_t channels = 1;   // 1, 2 or 4
  bool fractions = false;  // 8- and 16-bit integers are always turned into [0, 1] or [-1, 1]

  bool linear_filter = false;
  bool normalized_coordinates = false;
  bool as_integer = false;  // 8- and 16-bit integers are not turned into [0, 1] or [-1, 1]
  bool srgb = false;        // 8-bit unsigned red, green and blue turned into [0, 1] are sRGB
  bool seamless = false;    // a cubemap's linear filter goes on in the next face
  bool linear_mipmap_filter = false;
  float level_bias = 0, least_level = 0, greatest_level = 0;
  std::array<AddressMode, 3> address_mode = {AddressMode::kClamp, AddressMode::kClamp, AddressMode::kClamp};
  std::array<float, 4> border = {};

  uint32_t texel_bytes() const { return channel_bytes(channel) * channels; }
  // Pictures of a level that lie one after the other.
  uint32_t slices() const;
  // From the first byte to the last that a fetch may read.
  uint64_t bytes() const;
  // Whether a fetch gives floats; integers otherwise. 32-bit integers always stay integers.
  bool reads_floats() const;
};

// The bits of red, green, blue and alpha: floats or integers as the texture reads. Channels it has not are 0.
using Texel = std::array<uint32_t, 4>;

// An index of a texel in each dimension; it may be outside.
using TexelIndex = std::array<int64_t, 3>;

// One texel of a level, by the texture's address modes. `slice` is the layer or face, 0 in three
// dimensions; it must be within. The texture's memory must be readable. Into `texel`: a result would leave in
// registers of 64 bits, and reading two words at once waits for their stores.
void read_texel(const Texture& texture, const TextureLevel& level, uint64_t slice, const TexelIndex& at,
                bool normalized, Texel& texel);
// The texel at integer coordinates, unfiltered. Layers and levels outside are the nearest within.
Texel fetch(const Texture& texture, uint32_t layer, const std::array<int32_t, 3>& at, int32_t level);

}  // namespace tessera::softgpu::exec
