#include "softgpu/driver/array_shape.h"

#include <algorithm>
#include <bit>

#include "softgpu/driver/texture_limits.h"

namespace tessera::softgpu {
namespace {

constexpr unsigned kFaces = 6;
constexpr unsigned kKnownFlags =
    CUDA_ARRAY3D_LAYERED | CUDA_ARRAY3D_SURFACE_LDST | CUDA_ARRAY3D_CUBEMAP | CUDA_ARRAY3D_TEXTURE_GATHER;
constexpr unsigned kNotBuilt = CUDA_ARRAY3D_DEPTH_TEXTURE | CUDA_ARRAY3D_COLOR_ATTACHMENT |
                               CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING;

struct FormatName {
  CUarray_format format;
  ChannelFormat channels;  // `channels` 0: as many as the descriptor says
};
constexpr FormatName kFormats[] = {
    {CU_AD_FORMAT_UNSIGNED_INT8, {exec::Channel::kU8, 0, false}},
    {CU_AD_FORMAT_UNSIGNED_INT16, {exec::Channel::kU16, 0, false}},
    {CU_AD_FORMAT_UNSIGNED_INT32, {exec::Channel::kU32, 0, false}},
    {CU_AD_FORMAT_SIGNED_INT8, {exec::Channel::kS8, 0, false}},
    {CU_AD_FORMAT_SIGNED_INT16, {exec::Channel::kS16, 0, false}},
    {CU_AD_FORMAT_SIGNED_INT32, {exec::Channel::kS32, 0, false}},
    {CU_AD_FORMAT_HALF, {exec::Channel::kF16, 0, false}},
    {CU_AD_FORMAT_FLOAT, {exec::Channel::kF32, 0, false}},
    {CU_AD_FORMAT_UNORM_INT8X1, {exec::Channel::kU8, 1, true}},
    {CU_AD_FORMAT_UNORM_INT8X2, {exec::Channel::kU8, 2, true}},
    {CU_AD_FORMAT_UNORM_INT8X4, {exec::Channel::kU8, 4, true}},
    {CU_AD_FORMAT_UNORM_INT16X1, {exec::Channel::kU16, 1, true}},
    {CU_AD_FORMAT_UNORM_INT16X2, {exec::Channel::kU16, 2, true}},
    {CU_AD_FORMAT_UNORM_INT16X4, {exec::Channel::kU16, 4, true}},
    {CU_AD_FORMAT_SNORM_INT8X1, {exec::Channel::kS8, 1, true}},
    {CU_AD_FORMAT_SNORM_INT8X2, {exec::Channel::kS8, 2, true}},
    {CU_AD_FORMAT_SNORM_INT8X4, {exec::Channel::kS8, 4, true}},
    {CU_AD_FORMAT_SNORM_INT16X1, {exec::Channel::kS16, 1, true}},
    {CU_AD_FORMAT_SNORM_INT16X2, {exec::Channel::kS16, 2, true}},
    {CU_AD_FORMAT_SNORM_INT16X4, {exec::Channel::kS16, 4, true}},
};

// Formats that CUDA defines and that are not stored here.
bool is_other_format(CUarray_format format) {
  return (format >= CU_AD_FORMAT_BC1_UNORM && format <= CU_AD_FORMAT_YUV444_16bit_SemiPlanar) ||
         format == CU_AD_FORMAT_UNORM_INT_101010_2;
}

struct Limits {
  size_t width, height, depth;  // 0: the extent must be 0
};

// The geometry's limits as a texture, and as a surface where it can be one; all 0 where there is no such one.
struct Geometry {
  Limits texture, surface;
};
Geometry geometry_of(const CUDA_ARRAY3D_DESCRIPTOR& d, bool mipmapped) {
  const bool layered = (d.Flags & CUDA_ARRAY3D_LAYERED) != 0;
  if ((d.Flags & CUDA_ARRAY3D_CUBEMAP) != 0) {
    const size_t texture_depth = layered ? kMaxTextureCubemapLayers : kFaces;
    const size_t surface_depth = layered ? kMaxSurfaceCubemapLayers : kFaces;
    return {{kMaxTextureCubemap, kMaxTextureCubemap, texture_depth},
            {kMaxSurfaceCubemap, kMaxSurfaceCubemap, surface_depth}};
  }
  if (layered && d.Height == 0)
    return {{kMaxTextureLayered, 0, kMaxTextureLayers}, {kMaxSurfaceLayered, 0, kMaxSurfaceLayers}};
  if (layered) {
    return {{kMaxTextureLayered, kMaxTextureLayered, kMaxTextureLayers},
            {kMaxSurfaceLayered, kMaxSurfaceLayered, kMaxSurfaceLayers}};
  }
  if (d.Depth != 0) {
    const bool deep = d.Depth > kMaxTexture3D;
    const size_t side = deep ? kMaxTexture3DAlternate : kMaxTexture3D;
    const size_t depth = deep ? kMaxTexture3DAlternateDepth : kMaxTexture3D;
    return {{side, side, depth}, {kMaxSurface3D, kMaxSurface3D, kMaxSurface3D}};
  }
  if (d.Height != 0) {
    const Limits whole{kMaxTexture2DWidth, kMaxTexture2DHeight, 0};
    const Limits levels{kMaxTexture2DMipmapped, kMaxTexture2DMipmapped, 0};
    return {mipmapped ? levels : whole, {kMaxSurface2DWidth, kMaxSurface2DHeight, 0}};
  }
  const size_t width = mipmapped ? kMaxTexture1DMipmapped : kMaxTexture1D;
  return {{width, 0, 0}, {kMaxSurface1D, 0, 0}};
}

bool within(const CUDA_ARRAY3D_DESCRIPTOR& d, const Limits& limits) {
  const auto fits = [](size_t extent, size_t limit) {
    return extent <= limit && (extent == 0) == (limit == 0);
  };
  return fits(d.Width, limits.width) && fits(d.Height, limits.height) && fits(d.Depth, limits.depth);
}

bool valid_shape(const CUDA_ARRAY3D_DESCRIPTOR& d, bool mipmapped) {
  const Geometry geometry = geometry_of(d, mipmapped);
  if (!within(d, geometry.texture)) return false;
  if ((d.Flags & CUDA_ARRAY3D_SURFACE_LDST) != 0 && !within(d, geometry.surface)) return false;
  if ((d.Flags & CUDA_ARRAY3D_CUBEMAP) != 0) {
    const bool layered = (d.Flags & CUDA_ARRAY3D_LAYERED) != 0;
    if (d.Width != d.Height || d.Depth % kFaces != 0 || (!layered && d.Depth != kFaces)) return false;
  }
  if ((d.Flags & CUDA_ARRAY3D_TEXTURE_GATHER) != 0) {
    const bool plain = d.Height != 0 && d.Depth == 0;
    if (!plain || std::max(d.Width, d.Height) > kMaxTexture2DGather) return false;
  }
  return true;
}

}  // namespace

std::optional<ChannelFormat> channel_format(CUarray_format format, unsigned channels) {
  if (channels != 1 && channels != 2 && channels != 4) return std::nullopt;
  for (const FormatName& known : kFormats) {
    if (known.format != format) continue;
    ChannelFormat found = known.channels;
    if (found.channels != 0 && found.channels != channels) return std::nullopt;
    found.channels = channels;
    return found;
  }
  return std::nullopt;
}

uint32_t texel_bytes(CUarray_format format, unsigned channels) {
  const auto known = channel_format(format, channels);
  return known ? exec::channel_bytes(known->channel) * channels : 0;
}

ArrayShape ArrayShape::next_level() const {
  ArrayShape next = *this;
  const auto halve = [](size_t& extent) {
    if (extent > 1) extent /= 2;
  };
  halve(next.descriptor.Width);
  halve(next.descriptor.Height);
  if (!layered() && !cubemap()) halve(next.descriptor.Depth);
  return next;
}

unsigned mipmap_levels(const ArrayShape& shape) {
  const CUDA_ARRAY3D_DESCRIPTOR& d = shape.descriptor;
  const size_t depth = shape.layered() || shape.cubemap() ? 0 : d.Depth;
  return static_cast<unsigned>(std::bit_width(std::max({d.Width, d.Height, depth})));
}

CUresult array_shape(const CUDA_ARRAY3D_DESCRIPTOR& descriptor, bool mipmapped, ArrayShape* shape) {
  if ((descriptor.Flags & ~(kKnownFlags | kNotBuilt)) != 0) return CUDA_ERROR_INVALID_VALUE;
  if ((descriptor.Flags & kNotBuilt) != 0 || is_other_format(descriptor.Format))
    return CUDA_ERROR_NOT_SUPPORTED;
  shape->descriptor = descriptor;
  shape->texel_bytes = texel_bytes(descriptor.Format, descriptor.NumChannels);
  return shape->texel_bytes != 0 && valid_shape(descriptor, mipmapped) ? CUDA_SUCCESS
                                                                       : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace tessera::softgpu
