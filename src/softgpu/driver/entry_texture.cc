// Texture objects.
#include "cuda/abi.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/texture.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

extern "C" {

CUresult cuTexObjectCreate(CUtexObject* pTexObject, const CUDA_RESOURCE_DESC* pResDesc,
                           const CUDA_TEXTURE_DESC* pTexDesc, const CUDA_RESOURCE_VIEW_DESC* pResViewDesc) {
  return in_context([&](Context& context) -> CUresult {
    if (pTexObject == nullptr || pResDesc == nullptr || pTexDesc == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return create_texture(context, *pResDesc, *pTexDesc, pResViewDesc, pTexObject);
  });
}

CUresult cuTexObjectDestroy(CUtexObject texObject) {
  return in_context([&](Context&) -> CUresult {
    const auto texture = live<TextureObject>().remove(reinterpret_cast<const void*>(texObject));
    return texture != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC* pResDesc, CUtexObject texObject) {
  return in_context([&](Context&) -> CUresult {
    std::shared_ptr<TextureObject> texture;
    SOFTGPU_RETURN_IF_ERROR(texture_of(texObject, &texture));
    if (pResDesc == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pResDesc = texture->resource();
    return CUDA_SUCCESS;
  });
}

CUresult cuTexObjectGetTextureDesc(CUDA_TEXTURE_DESC* pTexDesc, CUtexObject texObject) {
  return in_context([&](Context&) -> CUresult {
    std::shared_ptr<TextureObject> texture;
    SOFTGPU_RETURN_IF_ERROR(texture_of(texObject, &texture));
    if (pTexDesc == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pTexDesc = texture->texture();
    return CUDA_SUCCESS;
  });
}

CUresult cuTexObjectGetResourceViewDesc(CUDA_RESOURCE_VIEW_DESC* pResViewDesc, CUtexObject texObject) {
  return in_context([&](Context&) -> CUresult {
    std::shared_ptr<TextureObject> texture;
    SOFTGPU_RETURN_IF_ERROR(texture_of(texObject, &texture));
    if (pResViewDesc == nullptr || !texture->view()) return CUDA_ERROR_INVALID_VALUE;
    *pResViewDesc = *texture->view();
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
