#include "softgpu/exec/texture.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "softgpu/exec/half.h"

namespace tessera::softgpu::exec {
namespace {

// IEC 61966-2-1.
float linear_of_srgb(float value) {
  return value <= 0.04045f ? value / 12.92f : std::pow((value + 0.055f) / 1.055f, 2.4f);
}

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// The most negative number of a signed type is -1, as is the one after it.
template <class T>
uint32_t integer_bits(const Texture& texture, const std::byte* from, bool color) {
  const T value = load<T>(from);
  if (!texture.reads_floats()) return static_cast<uint32_t>(static_cast<int32_t>(value));
  float unit = std::max(static_cast<float>(value) / static_cast<float>(std::numeric_limits<T>::max()), -1.0f);
  if (std::is_same_v<T, uint8_t> && texture.srgb && color) unit = linear_of_srgb(unit);
  return std::bit_cast<uint32_t>(unit);
}

uint32_t channel_bits(const Texture& texture, const std::byte* from, bool color) {
  switch (texture.channel) {
    case Channel::kU8:
      return integer_bits<uint8_t>(texture, from, color);
    case Channel::kU16:
      return integer_bits<uint16_t>(texture, from, color);
    case Channel::kS8:
      return integer_bits<int8_t>(texture, from, color);
    case Channel::kS16:
      return integer_bits<int16_t>(texture, from, color);
    case Channel::kF16:
      return std::bit_cast<uint32_t>(half_to_float(load<uint16_t>(from)));
    case Channel::kU32:
    case Channel::kS32:
    case Channel::kF32:
      break;
  }
  return load<uint32_t>(from);
}

int64_t modulo(int64_t a, int64_t n) { return (a % n + n) % n; }

// Brings an index into [0, n); false where the border's colour is asked for. Wrap and mirror are clamp where
// coordinates are not normalized.
bool address(AddressMode mode, bool normalized, int64_t n, int64_t* i) {
  if (mode == AddressMode::kBorder) return *i >= 0 && *i < n;
  if (mode == AddressMode::kWrap && normalized) {
    *i = modulo(*i, n);
  } else if (mode == AddressMode::kMirror && normalized) {
    const int64_t in_two = modulo(*i, 2 * n);
    *i = in_two < n ? in_two : 2 * n - 1 - in_two;
  } else {
    *i = std::clamp<int64_t>(*i, 0, n - 1);
  }
  return true;
}

void read_border(const Texture& texture, Texel& texel) {
  for (uint32_t c = 0; c < texture.channels; ++c) texel[c] = std::bit_cast<uint32_t>(texture.border[c]);
}

}  // namespace

uint32_t Texture::slices() const {
  if (cubemap) return layers * kCubeFaces;
  return layered ? layers : levels[0].extent[2];
}

uint64_t Texture::bytes() const {
  const TextureLevel& last = levels.back();
  const uint64_t slices = layered || cubemap ? this->slices() : last.extent[2];
  const uint64_t of_last = (slices - 1) * last.slice_bytes + (last.extent[1] - 1) * last.row_bytes +
                           uint64_t{last.extent[0]} * texel_bytes();
  return last.address - levels[0].address + of_last;
}

bool Texture::reads_floats() const {
  if (channel == Channel::kF16 || channel == Channel::kF32) return true;
  return fractions || (!as_integer && channel_bytes(channel) < 4);
}

void read_texel(const Texture& texture, const TextureLevel& level, uint64_t slice, const TexelIndex& at,
                bool normalized, Texel& texel) {
  texel.fill(0);
  if (texture.linear_memory && (at[0] < 0 || at[0] >= level.extent[0])) return;
  const auto* from = reinterpret_cast<const std::byte*>(level.address + slice * level.slice_bytes);
  const uint64_t steps[] = {texture.texel_bytes(), level.row_bytes, level.slice_bytes};
  for (uint32_t d = 0; d < texture.dimensions; ++d) {
    int64_t index = at[d];
    if (!address(texture.address_mode[d], normalized, level.extent[d], &index))
      return read_border(texture, texel);
    from += static_cast<uint64_t>(index) * steps[d];
  }
  const uint32_t bytes = channel_bytes(texture.channel);
  for (uint32_t c = 0; c < texture.channels; ++c) texel[c] = channel_bits(texture, from + c * bytes, c < 3);
}

Texel fetch(const Texture& texture, uint32_t layer, const std::array<int32_t, 3>& at, int32_t level) {
  const auto last = static_cast<int32_t>(texture.levels.size()) - 1;
  TexelIndex index{};
  for (uint32_t d = 0; d < texture.dimensions; ++d) index[d] = at[d];
  Texel texel;
  read_texel(texture, texture.levels[static_cast<size_t>(std::clamp(level, 0, last))],
             std::min(layer, texture.layers - 1), index, false, texel);
  return texel;
}

}  // namespace tessera::softgpu::exec
