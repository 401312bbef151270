#include "virtualization/vgpu/array_size.h"

#include <algorithm>
#include <limits>

namespace tessera::vgpu {
namespace {

// Arrays that get their memory later, by cuMemMapArrayAsync.
constexpr unsigned int kWithoutMemory = CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING;

uint64_t multiply(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::numeric_limits<uint64_t>::max();
  return product;
}

uint64_t add(uint64_t a, uint64_t b) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::numeric_limits<uint64_t>::max();
  return sum;
}

unsigned int bits_of_texel(CUarray_format format, unsigned int channels) {
  switch (format) {
    case CU_AD_FORMAT_BC1_UNORM:
    case CU_AD_FORMAT_BC1_UNORM_SRGB:
    case CU_AD_FORMAT_BC4_UNORM:
    case CU_AD_FORMAT_BC4_SNORM:
      return 4;
    case CU_AD_FORMAT_BC2_UNORM:
    case CU_AD_FORMAT_BC2_UNORM_SRGB:
    case CU_AD_FORMAT_BC3_UNORM:
    case CU_AD_FORMAT_BC3_UNORM_SRGB:
    case CU_AD_FORMAT_BC5_UNORM:
    case CU_AD_FORMAT_BC5_SNORM:
    case CU_AD_FORMAT_BC6H_UF16:
    case CU_AD_FORMAT_BC6H_SF16:
    case CU_AD_FORMAT_BC7_UNORM:
    case CU_AD_FORMAT_BC7_UNORM_SRGB:
      return 8;
    case CU_AD_FORMAT_NV12:
      return 12;
    case CU_AD_FORMAT_NV16:
    case CU_AD_FORMAT_YUY2:
      return 16;
    case CU_AD_FORMAT_P010:
    case CU_AD_FORMAT_P016:
    case CU_AD_FORMAT_Y444_PLANAR8:
    case CU_AD_FORMAT_YUV444_8bit_SemiPlanar:
      return 24;
    case CU_AD_FORMAT_P210:
    case CU_AD_FORMAT_P216:
    case CU_AD_FORMAT_Y210:
    case CU_AD_FORMAT_Y216:
    case CU_AD_FORMAT_AYUV:
    case CU_AD_FORMAT_Y410:
    case CU_AD_FORMAT_UNORM_INT_101010_2:
      return 32;
    case CU_AD_FORMAT_Y444_PLANAR10:
    case CU_AD_FORMAT_YUV444_16bit_SemiPlanar:
      return 48;
    case CU_AD_FORMAT_Y416:
      return 64;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
    case CU_AD_FORMAT_UNORM_INT16X1:
    case CU_AD_FORMAT_UNORM_INT16X2:
    case CU_AD_FORMAT_UNORM_INT16X4:
    case CU_AD_FORMAT_SNORM_INT16X1:
    case CU_AD_FORMAT_SNORM_INT16X2:
    case CU_AD_FORMAT_SNORM_INT16X4:
      return 16 * channels;
    case CU_AD_FORMAT_UNSIGNED_INT32:
    case CU_AD_FORMAT_SIGNED_INT32:
    case CU_AD_FORMAT_FLOAT:
      return 32 * channels;
    default:
      return 8 * channels;
  }
}

uint64_t bytes_of(const CUDA_ARRAY3D_DESCRIPTOR& array) {
  uint64_t texels = multiply(multiply(array.Width, std::max<uint64_t>(array.Height, 1)),
                             std::max<uint64_t>(array.Depth, 1));
  uint64_t bits = multiply(texels, texel_bits(array));
  return bits / 8 + (bits % 8 != 0 ? 1 : 0);
}

}  // namespace

// At most 4 channels are valid; the driver says so to others.
uint64_t texel_bits(const CUDA_ARRAY3D_DESCRIPTOR& array) {
  return bits_of_texel(array.Format, std::min(array.NumChannels, 4u));
}

uint64_t array_bytes(const CUDA_ARRAY3D_DESCRIPTOR& array) {
  return (array.Flags & kWithoutMemory) != 0 ? 0 : bytes_of(array);
}

uint64_t mipmapped_array_bytes(const CUDA_ARRAY3D_DESCRIPTOR& array, unsigned int levels) {
  if ((array.Flags & kWithoutMemory) != 0) return 0;
  // Layers and faces stay as many from level to level.
  bool layered = (array.Flags & (CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_CUBEMAP)) != 0;
  CUDA_ARRAY3D_DESCRIPTOR level = array;
  uint64_t total = 0;
  for (unsigned int i = 0; i < std::max(levels, 1u); ++i) {
    total = add(total, bytes_of(level));
    if (level.Width <= 1 && level.Height <= 1 && (layered || level.Depth <= 1)) break;
    level.Width = std::max<size_t>(level.Width / 2, 1);
    if (level.Height > 1) level.Height /= 2;
    if (!layered && level.Depth > 1) level.Depth /= 2;
  }
  return total;
}

}  // namespace tessera::vgpu
