#include "softgpu/driver/texture_place.h"

#include "softgpu/driver/array.h"
#include "softgpu/driver/texture_limits.h"

namespace tessera::softgpu {
namespace {

// Of a format that is known.
void set_format(CUarray_format format, unsigned channels, exec::Texture* texture) {
  const ChannelFormat known = *channel_format(format, channels);
  texture->channel = known.channel;
  texture->channels = known.channels;
  texture->fractions = known.fractions;
}

CUresult place_linear(const CUDA_RESOURCE_DESC& resource, exec::Texture* texture) {
  const auto& linear = resource.res.linear;
  const uint32_t bytes = texel_bytes(linear.format, linear.numChannels);
  if (bytes == 0 || linear.devPtr == 0 || linear.devPtr % kTextureAlignment != 0)
    return CUDA_ERROR_INVALID_VALUE;
  const size_t texels = linear.sizeInBytes / bytes;
  if (texels == 0 || texels > kMaxTexture1DLinear) return CUDA_ERROR_INVALID_VALUE;
  texture->linear_memory = true;
  texture->levels[0].address = linear.devPtr;
  texture->levels[0].extent[0] = static_cast<uint32_t>(texels);
  set_format(linear.format, linear.numChannels, texture);
  return CUDA_SUCCESS;
}

CUresult place_pitched(const CUDA_RESOURCE_DESC& resource, exec::Texture* texture) {
  const auto& image = resource.res.pitch2D;
  const uint32_t bytes = texel_bytes(image.format, image.numChannels);
  if (bytes == 0 || image.devPtr == 0 || image.devPtr % kTextureAlignment != 0 ||
      image.pitchInBytes % kTexturePitchAlignment != 0 || image.pitchInBytes > kMaxTexture2DLinearPitch)
    return CUDA_ERROR_INVALID_VALUE;
  if (image.width == 0 || image.width > kMaxTexture2DWidth || image.height == 0 ||
      image.height > kMaxTexture2DLinearHeight || image.width * bytes > image.pitchInBytes)
    return CUDA_ERROR_INVALID_VALUE;
  texture->dimensions = 2;
  texture->levels[0] = {image.devPtr,
                        {static_cast<uint32_t>(image.width), static_cast<uint32_t>(image.height), 1},
                        image.pitchInBytes,
                        0};
  set_format(image.format, image.numChannels, texture);
  return CUDA_SUCCESS;
}

exec::TextureLevel level_of(const Array& array) {
  const ArrayShape& shape = array.shape();
  const bool solid = !shape.layered() && !shape.cubemap();
  return {array.address(),
          {static_cast<uint32_t>(shape.descriptor.Width), static_cast<uint32_t>(shape.rows()),
           solid ? static_cast<uint32_t>(shape.slices()) : 1},
          shape.pitch(),
          shape.slice_bytes()};
}

// All but the levels.
void describe(const ArrayShape& shape, exec::Texture* texture) {
  const CUDA_ARRAY3D_DESCRIPTOR& d = shape.descriptor;
  const auto slices = static_cast<uint32_t>(shape.slices());
  texture->layered = shape.layered();
  texture->cubemap = shape.cubemap();
  texture->dimensions = d.Height == 0 ? 1 : d.Depth == 0 || shape.layered() || shape.cubemap() ? 2 : 3;
  texture->layers = shape.cubemap() ? slices / exec::kCubeFaces : shape.layered() ? slices : 1;
  set_format(d.Format, d.NumChannels, texture);
}

CUresult place_array(CUarray handle, exec::Texture* texture) {
  std::shared_ptr<Array> array;
  if (array_of(handle, &array) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
  describe(array->shape(), texture);
  texture->levels[0] = level_of(*array);
  return CUDA_SUCCESS;
}

CUresult place_mipmapped(CUmipmappedArray handle, exec::Texture* texture) {
  std::shared_ptr<MipmappedArray> array;
  if (mipmapped_array_of(handle, &array) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
  describe(array->shape(), texture);
  texture->mipmapped = true;
  texture->levels.clear();
  for (const auto& level : array->levels()) texture->levels.push_back(level_of(*level));
  return CUDA_SUCCESS;
}

}  // namespace

CUresult place_texture(const CUDA_RESOURCE_DESC& resource, exec::Texture* texture) {
  switch (resource.resType) {
    case CU_RESOURCE_TYPE_ARRAY:
      return place_array(resource.res.array.hArray, texture);
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
      return place_mipmapped(resource.res.mipmap.hMipmappedArray, texture);
    case CU_RESOURCE_TYPE_LINEAR:
      return place_linear(resource, texture);
    case CU_RESOURCE_TYPE_PITCH2D:
      return place_pitched(resource, texture);
  }
  return CUDA_ERROR_INVALID_VALUE;
}

void place_surface(const Array& array, exec::Texture* surface) {
  describe(array.shape(), surface);
  surface->levels[0] = level_of(array);
  if (!surface->cubemap) return;
  surface->layers = surface->slices();
  surface->cubemap = false;
  surface->layered = true;
}

}  // namespace tessera::softgpu
