#include "softgpu/driver/texture.h"

#include <algorithm>

#include "softgpu/driver/context.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/resource_view.h"
#include "softgpu/driver/texture_place.h"
#include "softgpu/exec/texture_table.h"

namespace tessera::softgpu {
namespace {

// Of which CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION changes nothing here: filters are never simplified.
constexpr unsigned kKnownFlags = CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_SRGB |
                                 CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION | CU_TRSF_SEAMLESS_CUBEMAP;

void set_levels(const CUDA_TEXTURE_DESC& d, exec::Texture* texture) {
  texture->linear_mipmap_filter = texture->mipmapped && d.mipmapFilterMode == CU_TR_FILTER_MODE_LINEAR;
  texture->level_bias = d.mipmapLevelBias;
  texture->least_level = d.minMipmapLevelClamp;
  texture->greatest_level = d.maxMipmapLevelClamp;
}

// Address modes do not matter then: they are clamp, or the next face's texels are taken.
void set_seamless(exec::Texture* texture) {
  texture->seamless = texture->linear_filter;
  texture->address_mode.fill(exec::AddressMode::kClamp);
}

// Anisotropy changes nothing. Modes and coordinates do not matter to linear memory.
CUresult set_sampling(const CUDA_TEXTURE_DESC& d, exec::Texture* texture) {
  if ((d.flags & ~kKnownFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  const bool seamless = (d.flags & CU_TRSF_SEAMLESS_CUBEMAP) != 0;
  if (seamless && !texture->cubemap) return CUDA_ERROR_INVALID_VALUE;
  texture->as_integer = (d.flags & CU_TRSF_READ_AS_INTEGER) != 0;
  texture->srgb = (d.flags & CU_TRSF_SRGB) != 0;
  std::copy_n(d.borderColor, 4, texture->border.begin());
  if (texture->linear_memory) return CUDA_SUCCESS;
  if (d.filterMode > CU_TR_FILTER_MODE_LINEAR || d.mipmapFilterMode > CU_TR_FILTER_MODE_LINEAR)
    return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < 3; ++i) {
    if (d.addressMode[i] > CU_TR_ADDRESS_MODE_BORDER) return CUDA_ERROR_INVALID_VALUE;
    texture->address_mode[i] = static_cast<exec::AddressMode>(d.addressMode[i]);
  }
  texture->normalized_coordinates = (d.flags & CU_TRSF_NORMALIZED_COORDINATES) != 0;
  if (texture->mipmapped && !texture->normalized_coordinates) return CUDA_ERROR_INVALID_VALUE;
  texture->linear_filter = d.filterMode == CU_TR_FILTER_MODE_LINEAR;
  set_levels(d, texture);
  if (seamless) set_seamless(texture);
  const bool filters = texture->linear_filter || texture->linear_mipmap_filter;
  return filters && !texture->reads_floats() ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

}  // namespace

TextureObject::TextureObject(std::shared_ptr<Context> context, const CUDA_RESOURCE_DESC& resource,
                             const CUDA_TEXTURE_DESC& texture, const CUDA_RESOURCE_VIEW_DESC* view)
    : context_(std::move(context)), handle_(next_handle()), resource_(resource), texture_(texture) {
  if (view != nullptr) view_ = *view;
}

TextureObject::~TextureObject() { exec::TextureTable::textures().remove(handle_); }

CUresult make_texture(const CUDA_RESOURCE_DESC& resource, const CUDA_TEXTURE_DESC& texture,
                      const CUDA_RESOURCE_VIEW_DESC* view, exec::Texture* made) {
  if (resource.flags != 0) return CUDA_ERROR_INVALID_VALUE;
  CUresult result = place_texture(resource, made);
  if (result == CUDA_SUCCESS && view != nullptr) result = apply_view(*view, resource, made);
  return result == CUDA_SUCCESS ? set_sampling(texture, made) : result;
}

CUresult create_texture(Context& context, const CUDA_RESOURCE_DESC& resource,
                        const CUDA_TEXTURE_DESC& texture, const CUDA_RESOURCE_VIEW_DESC* view,
                        CUtexObject* handle) {
  auto sampled = std::make_shared<exec::Texture>();
  const CUresult result = make_texture(resource, texture, view, sampled.get());
  if (result != CUDA_SUCCESS) return result;
  auto object = std::make_shared<TextureObject>(context.shared_from_this(), resource, texture, view);
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
