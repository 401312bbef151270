// Surface objects.
#include "cuda/abi.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/surface.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

extern "C" {

CUresult cuSurfObjectCreate(CUsurfObject* pSurfObject, const CUDA_RESOURCE_DESC* pResDesc) {
  return in_context([&](Context& context) -> CUresult {
    if (pSurfObject == nullptr || pResDesc == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return create_surface(context, *pResDesc, pSurfObject);
  });
}

CUresult cuSurfObjectDestroy(CUsurfObject surfObject) {
  return in_context([&](Context&) -> CUresult {
    const auto surface = live<SurfaceObject>().remove(reinterpret_cast<const void*>(surfObject));
    return surface != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuSurfObjectGetResourceDesc(CUDA_RESOURCE_DESC* pResDesc, CUsurfObject surfObject) {
  return in_context([&](Context&) -> CUresult {
    const auto surface = live<SurfaceObject>().find(reinterpret_cast<const void*>(surfObject));
    if (surface == nullptr || pResDesc == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pResDesc = surface->resource();
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
