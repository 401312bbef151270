#include "softgpu/driver/surface.h"

#include "softgpu/driver/array.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/texture_place.h"
#include "softgpu/exec/texture_table.h"

namespace tessera::softgpu {

SurfaceObject::SurfaceObject(std::shared_ptr<Context> context, const CUDA_RESOURCE_DESC& resource)
    : context_(std::move(context)), handle_(next_handle()), resource_(resource) {}

SurfaceObject::~SurfaceObject() { exec::TextureTable::surfaces().remove(handle_); }

CUresult make_surface(const CUDA_RESOURCE_DESC& resource, exec::Texture* made) {
  if (resource.flags != 0 || resource.resType != CU_RESOURCE_TYPE_ARRAY) return CUDA_ERROR_INVALID_VALUE;
  std::shared_ptr<Array> array;
  if (array_of(resource.res.array.hArray, &array) != CUDA_SUCCESS) return CUDA_ERROR_INVALID_VALUE;
  if ((array->shape().descriptor.Flags & CUDA_ARRAY3D_SURFACE_LDST) == 0) return CUDA_ERROR_INVALID_VALUE;
  place_surface(*array, made);
  return CUDA_SUCCESS;
}

CUresult create_surface(Context& context, const CUDA_RESOURCE_DESC& resource, CUsurfObject* handle) {
  auto placed = std::make_shared<exec::Texture>();
  const CUresult result = make_surface(resource, placed.get());
  if (result != CUDA_SUCCESS) return result;
  auto object = std::make_shared<SurfaceObject>(context.shared_from_this(), resource);
  exec::TextureTable::surfaces().add(object->handle(), std::move(placed));
  live<SurfaceObject>().add(object->handle(), object);
  *handle = object->handle();
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu
