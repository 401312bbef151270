#include "softgpu/driver/array_shape.h"

#include <gtest/gtest.h>

namespace tessera::softgpu {
namespace {

CUresult check(const CUDA_ARRAY3D_DESCRIPTOR& descriptor, bool mipmapped = false) {
  ArrayShape shape;
  return array_shape(descriptor, mipmapped, &shape);
}
CUDA_ARRAY3D_DESCRIPTOR bytes(size_t width, size_t height, size_t depth, unsigned flags = 0) {
  return {width, height, depth, CU_AD_FORMAT_UNSIGNED_INT8, 1, flags};
}

TEST(ArrayShape, AcceptsEveryGeometry) {
  EXPECT_EQ(check(bytes(131072, 0, 0)), CUDA_SUCCESS);
  EXPECT_EQ(check(bytes(131072, 65536, 0)), CUDA_SUCCESS);
  EXPECT_EQ(check(bytes(16384, 16384, 16384)), CUDA_SUCCESS);
  EXPECT_EQ(check(bytes(8192, 8192, 32768)), CUDA_SUCCESS);
  EXPECT_EQ(check(bytes(32768, 0, 2048, CUDA_ARRAY3D_LAYERED)), CUDA_SUCCESS);
  EXPECT_EQ(check(bytes(32768, 32768, 2048, CUDA_ARRAY3D_LAYERED)), CUDA_SUCCESS);
  EXPECT_EQ(check(bytes(64, 64, 6, CUDA_ARRAY3D_CUBEMAP)), CUDA_SUCCESS);
  EXPECT_EQ(check(bytes(64, 64, 12, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED)), CUDA_SUCCESS);
  EXPECT_EQ(check(bytes(64, 64, 0, CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_TEXTURE_GATHER)), CUDA_SUCCESS);
}

TEST(ArrayShape, RefusesWhatCudaForbids) {
  EXPECT_EQ(check(bytes(0, 0, 0)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check(bytes(131073, 0, 0)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check(bytes(32769, 0, 0, CUDA_ARRAY3D_SURFACE_LDST)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check(bytes(32769, 0, 0), true), CUDA_ERROR_INVALID_VALUE) << "1-D mipmaps are smaller";
  EXPECT_EQ(check(bytes(64, 0, 8)), CUDA_ERROR_INVALID_VALUE) << "a depth without a height";
  EXPECT_EQ(check(bytes(64, 64, 0, CUDA_ARRAY3D_LAYERED)), CUDA_ERROR_INVALID_VALUE) << "no layers";
  EXPECT_EQ(check(bytes(8193, 8192, 32768)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check(bytes(64, 32, 6, CUDA_ARRAY3D_CUBEMAP)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check(bytes(64, 64, 5, CUDA_ARRAY3D_CUBEMAP)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check(bytes(64, 64, 13, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check(bytes(64, 64, 64, CUDA_ARRAY3D_TEXTURE_GATHER)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check(bytes(64, 64, 0, 0x4000)), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check({8, 8, 0, CU_AD_FORMAT_FLOAT, 3, 0}), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check({8, 8, 0, static_cast<CUarray_format>(0x77), 1, 0}), CUDA_ERROR_INVALID_VALUE);
}

TEST(ArrayShape, FormatsWithTheirChannels) {
  ArrayShape shape;
  ASSERT_EQ(array_shape({8, 8, 0, CU_AD_FORMAT_SNORM_INT16X2, 2, 0}, false, &shape), CUDA_SUCCESS);
  EXPECT_EQ(shape.texel_bytes, 4u);
  EXPECT_EQ(check({8, 8, 0, CU_AD_FORMAT_UNORM_INT8X4, 4, 0}), CUDA_SUCCESS);
  EXPECT_EQ(check({8, 8, 0, CU_AD_FORMAT_UNORM_INT8X4, 1, 0}), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(check({8, 8, 0, CU_AD_FORMAT_UNORM_INT_101010_2, 4, 0}), CUDA_ERROR_NOT_SUPPORTED);
}

TEST(ArrayShape, NamesWhatIsNotBuilt) {
  EXPECT_EQ(check(bytes(64, 64, 0, CUDA_ARRAY3D_SPARSE)), CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(check(bytes(64, 64, 0, CUDA_ARRAY3D_DEFERRED_MAPPING)), CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(check({8, 8, 0, CU_AD_FORMAT_BC7_UNORM, 4, 0}), CUDA_ERROR_NOT_SUPPORTED);
  EXPECT_EQ(check({8, 8, 0, CU_AD_FORMAT_NV12, 3, 0}), CUDA_ERROR_NOT_SUPPORTED);
}

TEST(ArrayShape, TexelsLieDense) {
  ArrayShape shape;
  ASSERT_EQ(array_shape({5, 3, 2, CU_AD_FORMAT_HALF, 4, 0}, false, &shape), CUDA_SUCCESS);
  EXPECT_EQ(shape.texel_bytes, 8u);
  EXPECT_EQ(shape.pitch(), 40u);
  EXPECT_EQ(shape.slice_bytes(), 120u);
  EXPECT_EQ(shape.bytes(), 240u);
  ASSERT_EQ(array_shape(bytes(7, 0, 3, CUDA_ARRAY3D_LAYERED), false, &shape), CUDA_SUCCESS);
  EXPECT_EQ(shape.bytes(), 21u);
}

TEST(ArrayShape, LevelsHalveAllButLayers) {
  ArrayShape shape;
  ASSERT_EQ(array_shape(bytes(9, 4, 5), true, &shape), CUDA_SUCCESS);
  EXPECT_EQ(mipmap_levels(shape), 4u);
  shape = shape.next_level();
  EXPECT_EQ(shape.bytes(), 4u * 2 * 2);
  ASSERT_EQ(array_shape(bytes(8, 8, 12, CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_LAYERED), true, &shape),
            CUDA_SUCCESS);
  EXPECT_EQ(mipmap_levels(shape), 4u);
  EXPECT_EQ(shape.next_level().bytes(), 4u * 4 * 12);
}

}  // namespace
}  // namespace tessera::softgpu
