#include "softgpu/driver/resource_view.h"

#include "softgpu/driver/array.h"

namespace tessera::softgpu {
namespace {

struct Format {
  exec::Channel channel;
  uint32_t channels;
};

// Of a format that is none of blocks: they are numbered by kind, three to each, of 1, 2 and 4 channels.
Format format_of(CUresourceViewFormat format) {
  constexpr exec::Channel kKinds[] = {exec::Channel::kU8,  exec::Channel::kS8,  exec::Channel::kU16,
                                      exec::Channel::kS16, exec::Channel::kU32, exec::Channel::kS32,
                                      exec::Channel::kF16, exec::Channel::kF32};
  const uint32_t index = format - CU_RES_VIEW_FORMAT_UINT_1X8;
  return {kKinds[index / 3], 1u << index % 3};
}

CUresult set_format(CUresourceViewFormat number, exec::Texture* texture) {
  if (number == CU_RES_VIEW_FORMAT_NONE) return CUDA_SUCCESS;
  if (number > CU_RES_VIEW_FORMAT_UNSIGNED_BC7) return CUDA_ERROR_INVALID_VALUE;
  if (number >= CU_RES_VIEW_FORMAT_UNSIGNED_BC1) return CUDA_ERROR_NOT_SUPPORTED;
  const Format format = format_of(number);
  if (exec::channel_bytes(format.channel) * format.channels != texture->texel_bytes())
    return CUDA_ERROR_INVALID_VALUE;
  texture->channel = format.channel;
  texture->channels = format.channels;
  texture->fractions = false;
  return CUDA_SUCCESS;
}

CUresult set_levels(const CUDA_RESOURCE_VIEW_DESC& view, exec::Texture* texture) {
  const size_t last = view.lastMipmapLevel;
  if (view.firstMipmapLevel > last || last >= texture->levels.size()) return CUDA_ERROR_INVALID_VALUE;
  auto& levels = texture->levels;
  levels.erase(levels.begin() + static_cast<std::ptrdiff_t>(last) + 1, levels.end());
  levels.erase(levels.begin(), levels.begin() + static_cast<std::ptrdiff_t>(view.firstMipmapLevel));
  return CUDA_SUCCESS;
}

CUresult set_layers(const CUDA_RESOURCE_VIEW_DESC& view, exec::Texture* texture) {
  if (view.firstLayer > view.lastLayer || view.lastLayer >= texture->layers) return CUDA_ERROR_INVALID_VALUE;
  const uint64_t slices = uint64_t{view.firstLayer} * (texture->cubemap ? exec::kCubeFaces : 1);
  for (exec::TextureLevel& level : texture->levels) level.address += slices * level.slice_bytes;
  texture->layers = view.lastLayer - view.firstLayer + 1;
  return CUDA_SUCCESS;
}

bool same_size(const CUDA_RESOURCE_VIEW_DESC& view, const ArrayShape& shape) {
  const CUDA_ARRAY3D_DESCRIPTOR& d = shape.descriptor;
  return view.width == d.Width && view.height == d.Height && view.depth == d.Depth;
}

CUresult shape_of(const CUDA_RESOURCE_DESC& resource, ArrayShape* shape) {
  CUresult result = CUDA_ERROR_INVALID_VALUE;  // only arrays have views
  if (resource.resType == CU_RESOURCE_TYPE_ARRAY) {
    std::shared_ptr<Array> array;
    result = array_of(resource.res.array.hArray, &array);
    if (result == CUDA_SUCCESS) *shape = array->shape();
  } else if (resource.resType == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY) {
    std::shared_ptr<MipmappedArray> array;
    result = mipmapped_array_of(resource.res.mipmap.hMipmappedArray, &array);
    if (result == CUDA_SUCCESS) *shape = array->shape();
  }
  return result == CUDA_SUCCESS ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

CUresult apply_view(const CUDA_RESOURCE_VIEW_DESC& view, const CUDA_RESOURCE_DESC& resource,
                    exec::Texture* texture) {
  ArrayShape shape;
  CUresult result = shape_of(resource, &shape);
  if (result == CUDA_SUCCESS) result = set_format(view.format, texture);
  if (result == CUDA_SUCCESS && !same_size(view, shape)) result = CUDA_ERROR_INVALID_VALUE;
  if (result == CUDA_SUCCESS) result = set_levels(view, texture);
  if (result == CUDA_SUCCESS) result = set_layers(view, texture);
  return result;
}

}  // namespace tessera::softgpu
