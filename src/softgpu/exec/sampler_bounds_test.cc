// Kernels choose coordinates and levels, programs the state of sampling: whatever they are, only the
// texture's own memory is read. A reader beyond it finds poison, or AddressSanitizer finds the reader.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "softgpu/exec/sampler.h"

namespace tessera::softgpu::exec {
namespace {

class Chance {
 public:
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_()) % bound; }
  bool coin() { return below(2) != 0; }
  int32_t integer() { return std::bit_cast<int32_t>(static_cast<uint32_t>(random_())); }
  // Any bits, numbers of a texture's size, and those that are none.
  float number() {
    switch (below(4)) {
      case 0:
        return std::bit_cast<float>(integer());
      case 1:
        return static_cast<float>(below(64)) / 8 - 4;
      case 2:
        return coin() ? INFINITY : -INFINITY;
      default:
        return NAN;
    }
  }
  std::array<float, 3> numbers() { return {number(), number(), number()}; }

 private:
  std::mt19937 random_{1};
};

// A texture of bytes, all `value`, in the middle of bytes that are not.
class Surrounded {
 public:
  static constexpr uint8_t kValue = 1, kPoison = 0xEE;
  static constexpr size_t kMargin = 4096;

  explicit Surrounded(Chance& chance) {
    describe(chance);
    size_t bytes = 0;
    std::array<uint32_t, 3> extent = texture.levels[0].extent;
    const uint32_t levels = texture.mipmapped ? 1 + chance.below(3) : 1;
    texture.levels.clear();
    for (uint32_t i = 0; i < levels; ++i) {
      const uint64_t row = uint64_t{extent[0]} * texture.texel_bytes(), slice = row * extent[1];
      texture.levels.push_back({bytes, extent, row, slice});
      bytes += slice * (texture.dimensions == 3 ? extent[2] : texture.slices());
      for (uint32_t& n : extent) n = std::max(n / 2, 1u);
    }
    memory_.assign(bytes + 2 * kMargin, kPoison);
    std::fill_n(memory_.begin() + kMargin, bytes, kValue);
    for (TextureLevel& level : texture.levels)
      level.address += reinterpret_cast<uint64_t>(memory_.data()) + kMargin;
    EXPECT_EQ(texture.bytes(), bytes);
  }

  Texture texture;

 private:
  void describe(Chance& chance) {
    texture.dimensions = 1 + chance.below(3);
    texture.cubemap = texture.dimensions == 2 && chance.coin();
    texture.layered = texture.dimensions < 3 && chance.coin();
    texture.layers = texture.layered ? 1 + chance.below(3) : 1;
    texture.channel = Channel::kU8;
    texture.as_integer = chance.coin();
    texture.mipmapped = chance.coin();
    texture.normalized_coordinates = chance.coin();
    texture.linear_filter = !texture.as_integer && chance.coin();
    texture.linear_mipmap_filter = !texture.as_integer && chance.coin();
    texture.seamless = texture.cubemap && texture.linear_filter && chance.coin();
    for (AddressMode& mode : texture.address_mode) mode = static_cast<AddressMode>(chance.below(3));
    texture.level_bias = chance.number();
    texture.least_level = chance.number();
    texture.greatest_level = chance.number();
    auto& extent = texture.levels[0].extent;
    for (uint32_t d = 0; d < texture.dimensions; ++d) extent[d] = 1 + chance.below(5);
    if (texture.cubemap) extent[1] = extent[0];
  }

  std::vector<uint8_t> memory_;
};

bool is_value(const Texture& texture, uint32_t found) {
  if (!texture.reads_floats()) return found == Surrounded::kValue;
  return std::abs(std::bit_cast<float>(found) - Surrounded::kValue / 255.0f) < 1e-6f;
}

float some_level(Chance& chance, const Texture& texture, const TexturePoint& point) {
  switch (chance.below(3)) {
    case 0:
      return base_level(texture);
    case 1:
      return level_of(texture, chance.number());
    default:
      return level_of_gradients(texture, point, chance.numbers(), chance.numbers());
  }
}

TEST(Sampler, ReadsNothingBesideTheTexture) {
  Chance chance;
  for (int i = 0; i < 30000; ++i) {
    const Surrounded surrounded(chance);
    const Texture& texture = surrounded.texture;
    TexturePoint point = {static_cast<uint32_t>(chance.integer()), chance.numbers()};
    if (!texture.cubemap && chance.coin())
      point.offset = {chance.integer(), chance.integer(), chance.integer()};
    ASSERT_TRUE(is_value(texture, sample(texture, point, some_level(chance, texture, point))[0])) << i;
    if (texture.dimensions == 2) {
      for (const uint32_t found : gather(texture, point, 0)) ASSERT_TRUE(is_value(texture, found)) << i;
    }
    if (texture.cubemap) continue;
    const std::array<int32_t, 3> at = {chance.integer(), chance.integer(), chance.integer()};
    ASSERT_TRUE(is_value(texture, fetch(texture, point.layer, at, chance.integer())[0])) << i;
  }
}

}  // namespace
}  // namespace tessera::softgpu::exec
