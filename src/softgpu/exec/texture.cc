#include "softgpu/exec/texture.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace tessera::softgpu::exec {
namespace {

using Index = std::array<int64_t, 3>;

float half_to_float(uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int fraction = half & 1023;
  const uint32_t sign = static_cast<uint32_t>(half >> 15) << 31;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | static_cast<uint32_t>(fraction) << 13);
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                        : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return sign != 0 ? -magnitude : magnitude;
}

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

Texel border(const Texture& texture) {
  Texel texel{};
  for (uint32_t c = 0; c < texture.channels; ++c) texel[c] = std::bit_cast<uint32_t>(texture.border[c]);
  return texel;
}

Texel texel_at(const Texture& texture, uint32_t layer, Index at, bool normalized) {
  if (texture.linear_memory && (at[0] < 0 || at[0] >= texture.extent[0])) return {};
  for (uint32_t d = 0; d < texture.dimensions; ++d) {
    if (!address(texture.address_mode[d], normalized, texture.extent[d], &at[d])) return border(texture);
  }
  const uint64_t slice = texture.layered ? std::min(layer, texture.layers - 1) : static_cast<uint64_t>(at[2]);
  const auto* from = reinterpret_cast<const std::byte*>(texture.address + slice * texture.slice_bytes +
                                                        static_cast<uint64_t>(at[1]) * texture.row_bytes +
                                                        static_cast<uint64_t>(at[0]) * texture.texel_bytes());
  Texel texel{};
  for (uint32_t c = 0; c < texture.channels; ++c)
    texel[c] = channel_bits(texture, from + c * channel_bytes(texture.channel), c < 3);
  return texel;
}

// In texels, within what an index can hold; 0 for what is no number.
double position(const Texture& texture, uint32_t dimension, float coordinate) {
  constexpr double kFarthest = 1e15;
  const double scale = texture.normalized_coordinates ? texture.extent[dimension] : 1;
  const double x = static_cast<double>(coordinate) * scale;
  return std::isnan(x) ? 0 : std::clamp(x, -kFarthest, kFarthest);
}

Texel filtered(const Texture& texture, uint32_t layer, const std::array<float, 3>& at) {
  Index low{};
  std::array<float, 3> weight{};
  for (uint32_t d = 0; d < texture.dimensions; ++d) {
    const double x = position(texture, d, at[d]) - 0.5;
    low[d] = static_cast<int64_t>(std::floor(x));
    weight[d] = static_cast<float>(std::nearbyint((x - std::floor(x)) * 256) / 256);
  }
  std::array<float, 4> sum{};
  for (uint32_t corner = 0; corner < 1u << texture.dimensions; ++corner) {
    Index index = low;
    float share = 1;
    for (uint32_t d = 0; d < texture.dimensions; ++d) {
      const bool high = (corner >> d & 1) != 0;
      index[d] += high ? 1 : 0;
      share *= high ? weight[d] : 1 - weight[d];
    }
    if (share == 0) continue;  // infinities beside the point do not count
    const Texel texel = texel_at(texture, layer, index, texture.normalized_coordinates);
    for (size_t c = 0; c < 4; ++c) sum[c] += share * std::bit_cast<float>(texel[c]);
  }
  return std::bit_cast<Texel>(sum);
}

}  // namespace

uint32_t channel_bytes(Channel channel) {
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

uint64_t Texture::bytes() const {
  const uint64_t slices = layered ? layers : extent[2];
  return (slices - 1) * slice_bytes + (extent[1] - 1) * row_bytes + uint64_t{extent[0]} * texel_bytes();
}

bool Texture::reads_floats() const {
  if (channel == Channel::kF16 || channel == Channel::kF32) return true;
  return !as_integer && channel_bytes(channel) < 4;
}

Texel fetch(const Texture& texture, uint32_t layer, const std::array<int32_t, 3>& at) {
  Index index{};
  for (uint32_t d = 0; d < texture.dimensions; ++d) index[d] = at[d];
  return texel_at(texture, layer, index, false);
}

Texel sample(const Texture& texture, uint32_t layer, const std::array<float, 3>& at) {
  if (texture.linear_filter && texture.reads_floats()) return filtered(texture, layer, at);
  Index index{};
  for (uint32_t d = 0; d < texture.dimensions; ++d)
    index[d] = static_cast<int64_t>(std::floor(position(texture, d, at[d])));
  return texel_at(texture, layer, index, texture.normalized_coordinates);
}

}  // namespace tessera::softgpu::exec
