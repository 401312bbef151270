// Mipmaps, cubemaps, offsets and gathers, computed by hand.
#include "softgpu/exec/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include "softgpu/exec/testing/texture_over.h"

namespace tessera::softgpu::exec {
namespace {

// 4, 2 and 1 texels, 10 and more, 20 and more, 30.
class Mipmap : public testing::Test {
 protected:
  Mipmap() : texture_(texture_over(texels_, Channel::kF32, 4)) {
    texture_.mipmapped = true;
    texture_.normalized_coordinates = true;
    texture_.greatest_level = 99;
    for (const uint32_t width : {2u, 1u}) {
      TextureLevel level = texture_.levels.back();
      level.address += level.slice_bytes;
      level.extent[0] = width;
      level.row_bytes = level.slice_bytes = width * sizeof(float);
      texture_.levels.push_back(level);
    }
  }
  float at(float x, float level) const { return red(sample(texture_, {0, {x}}, level_of(texture_, level))); }

  const std::vector<float> texels_ = {10, 11, 12, 13, 20, 21, 30};
  Texture texture_;
};

TEST_F(Mipmap, NearestLevel) {
  EXPECT_EQ(texture_.bytes(), texels_.size() * sizeof(float));
  EXPECT_EQ(at(0.3f, 0), 11);
  EXPECT_EQ(at(0.3f, 0.4f), 11);
  EXPECT_EQ(at(0.3f, 0.6f), 20);
  EXPECT_EQ(at(0.6f, 1), 21);
  EXPECT_EQ(at(0.6f, 2), 30);
  EXPECT_EQ(at(0.6f, 7), 30) << "no further level";
  EXPECT_EQ(at(0.6f, -7), 12);
  EXPECT_EQ(at(0.6f, NAN), 12);
  EXPECT_EQ(at(0.6f, -INFINITY), 12);
  EXPECT_EQ(red(fetch(texture_, 0, {1}, 1)), 21);
  EXPECT_EQ(red(fetch(texture_, 0, {5}, 9)), 30);
}

TEST_F(Mipmap, BetweenLevels) {
  texture_.linear_mipmap_filter = true;
  EXPECT_EQ(at(0.3f, 0.25f), 0.75f * 11 + 0.25f * 20);
  EXPECT_EQ(at(0.3f, 1.5f), 25);
  EXPECT_EQ(at(0.3f, 2), 30);
  EXPECT_EQ(at(0.3f, 1 / 1024.0f), 11) << "finer than a weight's step";
  texture_.linear_filter = true;
  EXPECT_EQ(at(0.5f, 0.5f), (11.5f + 20.5f) / 2);
}

TEST_F(Mipmap, BiasAndClamps) {
  texture_.level_bias = 1;
  EXPECT_EQ(at(0.6f, 0), 21);
  EXPECT_EQ(at(0.6f, -1), 12);
  EXPECT_EQ(red(sample(texture_, {0, {0.6f}}, base_level(texture_))), 12) << "no bias without a level";
  texture_.level_bias = 0;
  texture_.least_level = 1;
  EXPECT_EQ(at(0.6f, 0), 21);
  EXPECT_EQ(red(sample(texture_, {0, {0.6f}}, base_level(texture_))), 21);
  texture_.greatest_level = 1;
  EXPECT_EQ(at(0.6f, 2), 21);
}

TEST_F(Mipmap, LevelsOfGradients) {
  const TexturePoint point = {0, {0.5f}};
  EXPECT_EQ(level_of_gradients(texture_, point, {0.25f}, {0.1f}), 0) << "a texel a pixel";
  EXPECT_EQ(level_of_gradients(texture_, point, {0.1f}, {-0.5f}), 1);
  EXPECT_EQ(level_of_gradients(texture_, point, {1}, {0}), 2);
  EXPECT_EQ(level_of_gradients(texture_, point, {0}, {0}), 0);
  EXPECT_NEAR(level_of_gradients(texture_, point, {0.375f}, {0}), std::log2(1.5f), 1e-6f);
}

TEST(Sampler, GradientsInTwoDimensionsAreEuclidean) {
  const std::vector<float> texels(64 * 32);
  Texture texture = texture_over(texels, Channel::kF32, 64, 32);
  texture.mipmapped = texture.normalized_coordinates = true;
  texture.greatest_level = 99;
  texture.levels.resize(6, texture.levels[0]);  // which is enough to count them
  const TexturePoint point = {0, {0.5f, 0.5f}};
  EXPECT_NEAR(level_of_gradients(texture, point, {3.0f / 64, 4.0f / 32}, {}), std::log2(5.0f), 1e-6f);
  EXPECT_NEAR(level_of_gradients(texture, point, {3.0f / 64, 4.0f / 32}, {0, 0.25f}), 3, 1e-6f);
}

TEST(Sampler, OffsetsInTexels) {
  const std::vector<float> texels = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  Texture texture = texture_over(texels, Channel::kF32, 3, 3);
  EXPECT_EQ(red(sample(texture, {0, {0.5f, 0.5f}, {2, 1}}, 0)), 5);
  EXPECT_EQ(red(sample(texture, {0, {0.5f, 0.5f}, {-8, 7}}, 0)), 6) << "clamped after the offset";
  texture.linear_filter = true;
  EXPECT_EQ(red(sample(texture, {0, {1, 1}, {1, 1}}, 0)), (4 + 5 + 7 + 8) / 4.0f);
}

using Floats = std::array<float, 4>;
Floats floats(const Texel& texel) { return std::bit_cast<Floats>(texel); }

TEST(Sampler, GathersCounterClockwise) {
  const std::vector<float> texels = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  Texture texture = texture_over(texels, Channel::kF32, 3, 3);
  EXPECT_EQ(floats(gather(texture, {0, {1, 1}}, 0)), (Floats{3, 4, 1, 0}));
  EXPECT_EQ(floats(gather(texture, {0, {1, 1}, {1, 1}}, 0)), (Floats{7, 8, 5, 4}));
  EXPECT_EQ(floats(gather(texture, {0, {3, 3}}, 0)), (Floats{8, 8, 8, 8})) << "clamped";
  EXPECT_EQ(floats(gather(texture, {0, {1, 1}}, 1)), (Floats{0, 0, 0, 0})) << "a channel it has not";
}

// Two cubes of 2 by 2 texels: 100 * cube + 10 * face + place.
class Cubes : public testing::Test {
 protected:
  Cubes() {
    for (int i = 0; i < 48; ++i)
      texels_.push_back(static_cast<float>(100 * (i / 24) + 10 * (i / 4 % 6) + i % 4));
    texture_ = texture_over(texels_, Channel::kF32, 2, 2);
    texture_.cubemap = texture_.layered = true;
    texture_.layers = 2;
  }
  float at(const std::array<float, 3>& direction, uint32_t layer = 0) const {
    return red(sample(texture_, {layer, direction}, 0));
  }
  std::vector<float> texels_;
  Texture texture_;
};

TEST_F(Cubes, FacesAndLayers) {
  EXPECT_EQ(texture_.bytes(), texels_.size() * sizeof(float));
  EXPECT_EQ(at({1, 0.5f, 0.5f}), 0) << "s and t are negative";
  EXPECT_EQ(at({1, -0.5f, -0.5f}), 3);
  EXPECT_EQ(at({-2, 1, 1}), 11);
  EXPECT_EQ(at({0.5f, 1, 0.5f}), 23);
  EXPECT_EQ(at({0.5f, -1, 0.5f}), 31);
  EXPECT_EQ(at({0.5f, 0.5f, 1}), 41);
  EXPECT_EQ(at({0.5f, 0.5f, -1}), 50);
  EXPECT_EQ(at({0.5f, 0.5f, -1}, 1), 150);
  EXPECT_EQ(at({0.5f, 0.5f, -1}, 7), 150);
}

TEST_F(Cubes, EdgesWithAndWithoutSeams) {
  texture_.linear_filter = true;
  // On the edge between +x and +z, in the upper half of both: texel 0 of face 0 and texel 1 of face 4.
  const std::array<float, 3> edge = {1, 0.5f, 0.999999f};
  EXPECT_EQ(at(edge), 0);
  texture_.seamless = true;
  EXPECT_EQ(at(edge), (0 + 41) / 2.0f);
  // Where +x, +y and +z meet: face 0 texel 0, face 2 texel 3, face 4 texel 1; the fourth is their mean.
  EXPECT_NEAR(at({1, 0.999999f, 0.999999f}), (0 + 23 + 41) / 3.0f, 1e-4f);
}

// Every texel of each face has a neighbour across each edge, and is its neighbour's.
TEST(Sampler, SeamlessNeighboursAgree) {
  constexpr uint32_t kSize = 5;
  std::vector<float> texels;
  for (uint32_t i = 0; i < 6 * kSize * kSize; ++i) texels.push_back(static_cast<float>(i));
  Texture texture = texture_over(texels, Channel::kF32, kSize, kSize);
  texture.cubemap = texture.seamless = texture.linear_filter = true;
  // A point on an edge, a little on either side of it: both see the same two texels, each with half the
  // weight.
  for (uint32_t a = 0; a < 3; ++a) {
    for (uint32_t b = 0; b < 3; ++b) {
      for (uint32_t i = 0; a != b && i < 4 * kSize; ++i) {
        std::array<float, 3> one{}, other{};
        const float along = (2 * static_cast<float>(i % kSize) + 1) / kSize - 1;
        one.fill(along);
        one[a] = (i / kSize & 1) != 0 ? -1.0f : 1.0f;
        one[b] = (i / kSize & 2) != 0 ? -1.0f : 1.0f;
        other = one;
        one[a] *= 1.000001f;
        other[b] *= 1.000001f;
        EXPECT_EQ(red(sample(texture, {0, one}, 0)), red(sample(texture, {0, other}, 0))) << a << b << i;
      }
    }
  }
}

}  // namespace
}  // namespace tessera::softgpu::exec
