#include "virtualization/vgpu/array_size.h"

#include <gtest/gtest.h>

#include <limits>

namespace tessera::vgpu {
namespace {

TEST(ArraySize, FollowsTheShape) {
  EXPECT_EQ(array_bytes({16, 0, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0}), 16u);
  EXPECT_EQ(array_bytes({16, 8, 0, CU_AD_FORMAT_HALF, 2, 0}), 512u);
  EXPECT_EQ(array_bytes({16, 8, 4, CU_AD_FORMAT_FLOAT, 4, 0}), 8192u);
  EXPECT_EQ(array_bytes({16, 0, 6, CU_AD_FORMAT_FLOAT, 1, CUDA_ARRAY3D_LAYERED}), 384u);
  EXPECT_EQ(array_bytes({16, 16, 0, CU_AD_FORMAT_BC1_UNORM, 4, 0}), 128u);
  EXPECT_EQ(array_bytes({16, 16, 0, CU_AD_FORMAT_NV12, 3, 0}), 384u);
}

// The name of such a format says how many channels there are of how many bits, and so does NumChannels.
TEST(ArraySize, FractionsAreAsWideAsTheirIntegers) {
  const auto texel = [](CUarray_format format, unsigned channels) {
    return texel_bits({8, 8, 0, format, channels, 0});
  };
  for (const CUarray_format first : {CU_AD_FORMAT_UNORM_INT16X1, CU_AD_FORMAT_SNORM_INT16X1}) {
    EXPECT_EQ(texel(first, 1), 16u);
    EXPECT_EQ(texel(static_cast<CUarray_format>(first + 1), 2), 32u);
    EXPECT_EQ(texel(static_cast<CUarray_format>(first + 2), 4), 64u);
  }
  for (const CUarray_format first : {CU_AD_FORMAT_UNORM_INT8X1, CU_AD_FORMAT_SNORM_INT8X1}) {
    EXPECT_EQ(texel(first, 1), 8u);
    EXPECT_EQ(texel(static_cast<CUarray_format>(first + 1), 2), 16u);
    EXPECT_EQ(texel(static_cast<CUarray_format>(first + 2), 4), 32u);
  }
  EXPECT_EQ(array_bytes({16, 8, 4, CU_AD_FORMAT_SNORM_INT16X4, 4, 0}), 16u * 8 * 4 * 8);
  EXPECT_EQ(mipmapped_array_bytes({4, 4, 0, CU_AD_FORMAT_UNORM_INT16X2, 2, 0}, 3), 4u * (16 + 4 + 1));
}

TEST(ArraySize, ArraysWithoutMemoryCostNothing) {
  EXPECT_EQ(array_bytes({16, 16, 0, CU_AD_FORMAT_FLOAT, 4, CUDA_ARRAY3D_SPARSE}), 0u);
  EXPECT_EQ(array_bytes({16, 16, 0, CU_AD_FORMAT_FLOAT, 4, CUDA_ARRAY3D_DEFERRED_MAPPING}), 0u);
}

TEST(ArraySize, ImpossibleShapesSaturate) {
  constexpr size_t kHuge = std::numeric_limits<size_t>::max();
  EXPECT_GE(array_bytes({kHuge, kHuge, kHuge, CU_AD_FORMAT_FLOAT, ~0u, 0}), kHuge / 8);
  EXPECT_GE(mipmapped_array_bytes({kHuge, kHuge, kHuge, CU_AD_FORMAT_FLOAT, 4, 0}, ~0u), kHuge / 8);
}

TEST(ArraySize, MipmapsAddTheirLevels) {
  CUDA_ARRAY3D_DESCRIPTOR shape{8, 8, 0, CU_AD_FORMAT_UNSIGNED_INT8, 1, 0};
  EXPECT_EQ(mipmapped_array_bytes(shape, 1), 64u);
  EXPECT_EQ(mipmapped_array_bytes(shape, 4), 64u + 16 + 4 + 1);
  EXPECT_EQ(mipmapped_array_bytes(shape, 100), 64u + 16 + 4 + 1);
  shape.Depth = 2;
  shape.Flags = CUDA_ARRAY3D_LAYERED;
  EXPECT_EQ(mipmapped_array_bytes(shape, 2), 128u + 32);
  shape.Depth = 6;
  shape.Flags = CUDA_ARRAY3D_CUBEMAP;
  EXPECT_EQ(mipmapped_array_bytes(shape, 3), 6 * (64u + 16 + 4)) << "a cube has six faces at every level";
}

}  // namespace
}  // namespace tessera::vgpu
