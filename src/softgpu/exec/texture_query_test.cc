#include "softgpu/exec/texture_query.h"

#include <gtest/gtest.h>

namespace tessera::softgpu::exec {
namespace {

uint32_t ask(const Texture& texture, TextureQuery query, int32_t level = 0) {
  return answer_of(texture, query, level);
}

TEST(TextureQuery, ExtentsOfLevels) {
  Texture texture;
  texture.levels[0].extent = {8, 4, 2};
  texture.levels.resize(2);
  texture.levels[1].extent = {4, 2, 1};
  EXPECT_EQ(ask(texture, TextureQuery::kWidth), 8u);
  EXPECT_EQ(ask(texture, TextureQuery::kHeight), 4u);
  EXPECT_EQ(ask(texture, TextureQuery::kDepth), 2u);
  EXPECT_EQ(ask(texture, TextureQuery::kWidth, 1), 4u);
  EXPECT_EQ(ask(texture, TextureQuery::kWidth, 9), 4u);
  EXPECT_EQ(ask(texture, TextureQuery::kWidth, -9), 8u);
  EXPECT_EQ(ask(texture, TextureQuery::kMipmapLevels), 0u);
  texture.mipmapped = true;
  EXPECT_EQ(ask(texture, TextureQuery::kMipmapLevels), 2u);
  EXPECT_EQ(ask(texture, TextureQuery::kArraySize), 0u);
  texture.layered = true;
  texture.layers = 3;
  EXPECT_EQ(ask(texture, TextureQuery::kArraySize), 3u);
}

TEST(TextureQuery, ChannelsByOpenClsNumbers) {
  Texture texture;
  texture.channels = 2;
  EXPECT_EQ(ask(texture, TextureQuery::kChannelOrder), 0x10B2u);
  EXPECT_EQ(ask(texture, TextureQuery::kChannelDataType), 0x10DEu);
  texture.channel = Channel::kU8;
  EXPECT_EQ(ask(texture, TextureQuery::kChannelDataType), 0x10D2u);
  texture.as_integer = true;
  EXPECT_EQ(ask(texture, TextureQuery::kChannelDataType), 0x10DAu);
}

TEST(TextureQuery, Sampling) {
  Texture texture;
  texture.address_mode = {AddressMode::kWrap, AddressMode::kMirror, AddressMode::kBorder};
  EXPECT_EQ(ask(texture, TextureQuery::kAddressMode0), 0u);
  EXPECT_EQ(ask(texture, TextureQuery::kAddressMode1), 1u);
  EXPECT_EQ(ask(texture, TextureQuery::kAddressMode2), 4u);
  EXPECT_EQ(ask(texture, TextureQuery::kFilterMode), 0u);
  EXPECT_EQ(ask(texture, TextureQuery::kNormalizedCoordinates), 0u);
  texture.linear_filter = texture.normalized_coordinates = true;
  EXPECT_EQ(ask(texture, TextureQuery::kFilterMode), 1u);
  EXPECT_EQ(ask(texture, TextureQuery::kNormalizedCoordinates), 1u);
}

}  // namespace
}  // namespace tessera::softgpu::exec
