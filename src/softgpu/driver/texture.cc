#include "softgpu/driver/texture.h"

#include <algorithm>

#include "softgpu/driver/array.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/texture_limits.h"
#include "softgpu/exec/texture_table.h"

namespace tessera::softgpu {
namespace {

// Bits of CUDA_TEXTURE_DESC::flags that change nothing here: there are neither mipmaps nor cubemaps.
constexpr unsigned kDisableTrilinearOptimization = 0x20;
constexpr unsigned kSeamlessCubemap = 0x40;
constexpr unsigned kKnownFlags = CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_SRGB |
                                 kDisableTrilinearOptimization | kSeamlessCubemap;

// Of a format that texel_bytes() knows.
exec::Channel channel_of(CUarray_format format) {
  switch (format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
      return exec::Channel::kU8;
    case CU_AD_FORMAT_UNSIGNED_INT16:
      return exec::Channel::kU16;
    case CU_AD_FORMAT_UNSIGNED_INT32:
      return exec::Channel::kU32;
    case CU_AD_FORMAT_SIGNED_INT8:
      return exec::Channel::kS8;
    case CU_AD_FORMAT_SIGNED_INT16:
      return exec::Channel::kS16;
    case CU_AD_FORMAT_SIGNED_INT32:
      return exec::Channel::kS32;
    case CU_AD_FORMAT_HALF:
      return exec::Channel::kF16;
    default:
      return exec::Channel::kF32;
  }
}

CUresult place_array(CUarray handle, exec::Texture* texture) {
  std::shared_ptr<Array> array;
  if (array_of(handle, &array) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
  return place_array(*array, texture);
}

CUresult place_linear(const CUDA_RESOURCE_DESC& resource, exec::Texture* texture) {
  const auto& linear = resource.res.linear;
  const uint32_t bytes = texel_bytes(linear.format, linear.numChannels);
  if (bytes == 0 || linear.devPtr == 0 || linear.devPtr % kTextureAlignment != 0)
    return CUDA_ERROR_INVALID_VALUE;
  const size_t texels = linear.sizeInBytes / bytes;
  if (texels == 0 || texels > kMaxTexture1DLinear) return CUDA_ERROR_INVALID_VALUE;
  texture->address = linear.devPtr;
  texture->linear_memory = true;
  texture->extent[0] = static_cast<uint32_t>(texels);
  texture->channel = channel_of(linear.format);
  texture->channels = linear.numChannels;
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
  texture->address = image.devPtr;
  texture->dimensions = 2;
  texture->extent = {static_cast<uint32_t>(image.width), static_cast<uint32_t>(image.height), 1};
  texture->row_bytes = image.pitchInBytes;
  texture->channel = channel_of(image.format);
  texture->channels = image.numChannels;
  return CUDA_SUCCESS;
}

CUresult place(const CUDA_RESOURCE_DESC& resource, exec::Texture* texture) {
  switch (resource.resType) {
    case CU_RESOURCE_TYPE_ARRAY:
      return place_array(resource.res.array.hArray, texture);
    case CU_RESOURCE_TYPE_MIPMAPPED_ARRAY:
      return CUDA_ERROR_NOT_SUPPORTED;
    case CU_RESOURCE_TYPE_LINEAR:
      return place_linear(resource, texture);
    case CU_RESOURCE_TYPE_PITCH2D:
      return place_pitched(resource, texture);
  }
  return CUDA_ERROR_INVALID_VALUE;
}

// Anisotropy changes nothing: without mipmaps there is no footprint to sample. Modes and coordinates do not
// matter to linear memory.
CUresult set_sampling(const CUDA_TEXTURE_DESC& d, exec::Texture* texture) {
  if ((d.flags & ~kKnownFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  texture->as_integer = (d.flags & CU_TRSF_READ_AS_INTEGER) != 0;
  texture->srgb = (d.flags & CU_TRSF_SRGB) != 0;
  std::copy_n(d.borderColor, 4, texture->border.begin());
  if (texture->linear_memory) return CUDA_SUCCESS;
  if (d.filterMode > CU_TR_FILTER_MODE_LINEAR) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < 3; ++i) {
    if (d.addressMode[i] > CU_TR_ADDRESS_MODE_BORDER) return CUDA_ERROR_INVALID_VALUE;
    texture->address_mode[i] = static_cast<exec::AddressMode>(d.addressMode[i]);
  }
  texture->normalized_coordinates = (d.flags & CU_TRSF_NORMALIZED_COORDINATES) != 0;
  texture->linear_filter = d.filterMode == CU_TR_FILTER_MODE_LINEAR;
  const bool filters_integers = texture->linear_filter && !texture->reads_floats();
  return filters_integers ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

}  // namespace

CUresult place_array(const Array& array, exec::Texture* texture) {
  const ArrayShape& shape = array.shape();
  if (shape.cubemap()) return CUDA_ERROR_NOT_SUPPORTED;
  const CUDA_ARRAY3D_DESCRIPTOR& d = shape.descriptor;
  texture->address = array.address();
  texture->layered = shape.layered();
  texture->dimensions = d.Height == 0 ? 1 : d.Depth == 0 || shape.layered() ? 2 : 3;
  const size_t slices = shape.slices();
  texture->extent = {static_cast<uint32_t>(d.Width), static_cast<uint32_t>(shape.rows()),
                     shape.layered() ? 1 : static_cast<uint32_t>(slices)};
  texture->layers = shape.layered() ? static_cast<uint32_t>(slices) : 1;
  texture->row_bytes = shape.pitch();
  texture->slice_bytes = shape.slice_bytes();
  texture->channel = channel_of(d.Format);
  texture->channels = d.NumChannels;
  return CUDA_SUCCESS;
}

TextureObject::TextureObject(std::shared_ptr<Context> context, const CUDA_RESOURCE_DESC& resource,
                             const CUDA_TEXTURE_DESC& texture)
    : context_(std::move(context)), handle_(next_handle()), resource_(resource), texture_(texture) {}

TextureObject::~TextureObject() { exec::TextureTable::textures().remove(handle_); }

CUresult create_texture(Context& context, const CUDA_RESOURCE_DESC& resource,
                        const CUDA_TEXTURE_DESC& texture, const CUDA_RESOURCE_VIEW_DESC* view,
                        CUtexObject* handle) {
  if (resource.flags != 0) return CUDA_ERROR_INVALID_VALUE;
  auto sampled = std::make_shared<exec::Texture>();
  CUresult result = place(resource, sampled.get());
  if (result == CUDA_SUCCESS) result = set_sampling(texture, sampled.get());
  if (result != CUDA_SUCCESS) return result;
  // Only arrays have views.
  if (view != nullptr)
    return resource.resType == CU_RESOURCE_TYPE_ARRAY ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
  auto object = std::make_shared<TextureObject>(context.shared_from_this(), resource, texture);
  exec::TextureTable::textures().add(object->handle(), std::move(sampled));
  live<TextureObject>().add(object->handle(), object);
  *handle = object->handle();
  return CUDA_SUCCESS;
}

CUresult texture_of(CUtexObject handle, std::shared_ptr<TextureObject>* texture) {
  *texture = live<TextureObject>().find(reinterpret_cast<const void*>(handle));
  return *texture != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace tessera::softgpu
