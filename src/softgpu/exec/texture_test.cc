// Fetches against the formulas of the CUDA C++ Programming Guide, written out one by one.
#include "softgpu/exec/texture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "softgpu/exec/half.h"
#include "softgpu/exec/sampler.h"
#include "softgpu/exec/testing/texture_over.h"

namespace tessera::softgpu::exec {
namespace {

TEST(Texture, AddressModesAtNormalizedCoordinates) {
  const std::vector<float> texels = {10, 20, 30, 40};
  Texture texture = texture_over(texels, Channel::kF32, 4);
  texture.normalized_coordinates = true;
  texture.border[0] = 7;
  struct Case {
    AddressMode mode;
    float x, expected;
  };
  for (const Case& c : {Case{AddressMode::kWrap, 1.3f, 20}, Case{AddressMode::kWrap, -0.1f, 40},
                        Case{AddressMode::kClamp, 1.3f, 40}, Case{AddressMode::kClamp, -0.1f, 10},
                        Case{AddressMode::kMirror, 1.1f, 40}, Case{AddressMode::kMirror, -0.3f, 20},
                        Case{AddressMode::kBorder, 1.1f, 7}, Case{AddressMode::kBorder, 0.6f, 30}}) {
    texture.address_mode[0] = c.mode;
    EXPECT_EQ(red(sample(texture, {0, {c.x}}, 0)), c.expected) << static_cast<int>(c.mode) << " " << c.x;
  }
}

TEST(Texture, WrapAndMirrorClampWhereCoordinatesAreNot) {
  const std::vector<float> texels = {10, 20, 30, 40};
  Texture texture = texture_over(texels, Channel::kF32, 4);
  for (const AddressMode mode : {AddressMode::kWrap, AddressMode::kMirror}) {
    texture.address_mode[0] = mode;
    EXPECT_EQ(red(sample(texture, {0, {5.5f}}, 0)), 40);
    EXPECT_EQ(red(fetch(texture, 0, {-3}, 0)), 10);
  }
  texture.linear_memory = true;
  EXPECT_EQ(red(fetch(texture, 0, {-3}, 0)), 0);
  EXPECT_EQ(red(fetch(texture, 0, {4}, 0)), 0);
  EXPECT_EQ(red(sample(texture, {0, {NAN}}, 0)), 10);
  EXPECT_EQ(red(sample(texture, {0, {INFINITY}}, 0)), 0);
}

TEST(Texture, LinearFilterWeighsInSteps) {
  constexpr int kWidth = 5, kHeight = 3;
  std::vector<float> texels;
  for (int i = 0; i < kWidth * kHeight; ++i) texels.push_back(static_cast<float>(i * i % 17));
  Texture texture = texture_over(texels, Channel::kF32, kWidth, kHeight);
  texture.linear_filter = true;
  const auto t = [&](int x, int y) {
    return texels[static_cast<size_t>(std::clamp(y, 0, kHeight - 1) * kWidth + std::clamp(x, 0, kWidth - 1))];
  };
  for (float y = -1; y < 4; y += 0.17f) {
    for (float x = -1; x < 6; x += 0.13f) {
      const float xb = x - 0.5f, yb = y - 0.5f;
      const int i = static_cast<int>(std::floor(xb)), j = static_cast<int>(std::floor(yb));
      const float a = std::round((xb - std::floor(xb)) * 256) / 256;
      const float b = std::round((yb - std::floor(yb)) * 256) / 256;
      const float expected = (1 - a) * (1 - b) * t(i, j) + a * (1 - b) * t(i + 1, j) +
                             (1 - a) * b * t(i, j + 1) + a * b * t(i + 1, j + 1);
      // A step of a weight where rounding falls the other way.
      EXPECT_NEAR(red(sample(texture, {0, {x, y}}, 0)), expected, 17.0f / 256 * 1.01f) << x << " " << y;
    }
  }
  EXPECT_EQ(red(sample(texture, {0, {1.5f, 1.5f}}, 0)), t(1, 1));
  EXPECT_EQ(red(sample(texture, {0, {2.0f, 1.5f}}, 0)), (t(1, 1) + t(2, 1)) / 2);
  EXPECT_EQ(red(sample(texture, {0, {1.5f + 1 / 1024.0f, 1.5f}}, 0)), t(1, 1))
      << "finer than a weight's step";
}

TEST(Texture, IntegersAsFractions) {
  const std::vector<int8_t> bytes = {-128, -127, 0, 64, 127, 1, 2, 3};
  Texture texture = texture_over(bytes, Channel::kS8, 8);
  EXPECT_EQ(red(fetch(texture, 0, {0}, 0)), -1);
  EXPECT_EQ(red(fetch(texture, 0, {1}, 0)), -1);
  EXPECT_EQ(red(fetch(texture, 0, {3}, 0)), 64.0f / 127);
  EXPECT_EQ(red(fetch(texture, 0, {4}, 0)), 1);
  texture.channel = Channel::kU8;
  EXPECT_EQ(red(fetch(texture, 0, {0}, 0)), 128.0f / 255);
  texture.srgb = true;
  EXPECT_NEAR(red(fetch(texture, 0, {0}, 0)), 0.2158605f, 1e-6f);
  texture.as_integer = true;
  EXPECT_EQ(fetch(texture, 0, {0}, 0)[0], 128u);
  texture.channel = Channel::kS8;
  EXPECT_EQ(fetch(texture, 0, {0}, 0)[0], 0xFFFFFF80u);
  texture.channels = 4;
  EXPECT_EQ(fetch(texture, 0, {0}, 0), (Texel{0xFFFFFF80u, 0xFFFFFF81u, 0, 64}));
}

TEST(Texture, Halves) {
  const std::vector<uint16_t> halves = {0x3C00, 0xC000, 0x0001, 0x7C00};
  const Texture texture = texture_over(halves, Channel::kF16, 4);
  EXPECT_EQ(red(fetch(texture, 0, {0}, 0)), 1);
  EXPECT_EQ(red(fetch(texture, 0, {1}, 0)), -2);
  EXPECT_EQ(red(fetch(texture, 0, {2}, 0)), std::ldexp(1.0f, -24));
  EXPECT_EQ(red(fetch(texture, 0, {3}, 0)), INFINITY);
}

TEST(Texture, HalvesAndBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = half_to_float(half);
    EXPECT_EQ(float_to_half(value), std::isnan(value) ? 0x7FFF : half) << bits;
  }
  EXPECT_EQ(float_to_half(1 + 1.0f / 2048), 0x3C00) << "halfway, to even";
  EXPECT_EQ(float_to_half(1 + 3.0f / 2048), 0x3C02) << "halfway, to even";
  EXPECT_EQ(float_to_half(65519), 0x7BFF);
  EXPECT_EQ(float_to_half(-65520), 0xFC00);
  EXPECT_EQ(float_to_half(std::ldexp(1.0f, -25)), 0);
  EXPECT_EQ(float_to_half(std::ldexp(1.5f, -25)), 1);
  EXPECT_EQ(float_to_half(std::ldexp(2047.5f, -25)), 0x0400) << "into the normal ones";
}

TEST(Texture, OnlyItsDimensionsCount) {
  const std::vector<float> texels = {10, 20};
  const Texture texture = texture_over(texels, Channel::kF32, 2);
  EXPECT_EQ(red(fetch(texture, 0, {1, 1 << 30, 1 << 30}, 0)), 20);
  EXPECT_EQ(red(sample(texture, {0, {1.5f, 1e9f, 1e9f}, {0, 1 << 30, 1 << 30}}, 0)), 20);
}

TEST(Texture, LayersAreClampedAndNotFiltered) {
  const std::vector<float> texels = {1, 2, 3, 4, 5, 6};
  Texture texture = texture_over(texels, Channel::kF32, 2);
  texture.layered = true;
  texture.layers = 3;
  texture.linear_filter = true;
  EXPECT_EQ(texture.bytes(), sizeof(float) * texels.size());
  EXPECT_EQ(red(sample(texture, {1, {1.0f}}, 0)), 3.5f);
  EXPECT_EQ(red(sample(texture, {9, {0.5f}}, 0)), 5);
}

}  // namespace
}  // namespace tessera::softgpu::exec
