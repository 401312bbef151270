// Textures as the executor sees them, and what a fetch gives: CUDA C++ Programming Guide, "Texture Fetching".
#pragma once

#include <array>
#include <cstdint>

namespace tessera::softgpu::exec {

enum class Channel : uint8_t { kU8, kU16, kU32, kS8, kS16, kS32, kF16, kF32 };
uint32_t channel_bytes(Channel channel);

enum class AddressMode : uint8_t { kWrap, kClamp, kMirror, kBorder };

struct Texture {
  uint64_t address = 0;
  uint32_t dimensions = 1;  // 1 to 3
  bool layered = false;
  bool linear_memory = false;                  // one row of device memory: texels beyond it are 0
  std::array<uint32_t, 3> extent = {1, 1, 1};  // in texels; 1 in the dimensions it has not
  uint32_t layers = 1;
  uint64_t row_bytes = 0, slice_bytes = 0;  // from one row, and from one slice or layer, to the next
  Channel channel = Channel::kF32;
  uint32_t channels = 1;  // 1, 2 or 4

  bool linear_filter = false;
  bool normalized_coordinates = false;
  bool as_integer = false;  // 8- and 16-bit integers are not turned into [0, 1] or [-1, 1]
  bool srgb = false;        // 8-bit unsigned red, green and blue turned into [0, 1] are sRGB
  std::array<AddressMode, 3> address_mode = {AddressMode::kClamp, AddressMode::kClamp, AddressMode::kClamp};
  std::array<float, 4> border = {};

  uint32_t texel_bytes() const { return channel_bytes(channel) * channels; }
  // From the first byte to the last that a fetch may read.
  uint64_t bytes() const;
  // Whether a fetch gives floats; integers otherwise. 32-bit integers always stay integers.
  bool reads_floats() const;
};

// The bits of red, green, blue and alpha: floats or integers as the texture reads. Channels it has not are 0.
using Texel = std::array<uint32_t, 4>;

// The texel at integer coordinates, unfiltered. The texture's memory must be readable.
Texel fetch(const Texture& texture, uint32_t layer, const std::array<int32_t, 3>& at);
// The texture at float coordinates. Weights of linear filtering have 8 bits of fraction; they are rounded to
// the nearest (which way a card rounds is not documented).
Texel sample(const Texture& texture, uint32_t layer, const std::array<float, 3>& at);

}  // namespace tessera::softgpu::exec
