// Surface objects.
#pragma once

#include <memory>

#include "cuda/abi.h"
#include "softgpu/exec/texture.h"

namespace tessera::softgpu {

class Context;

// In the executor's table as long as it lives.
class SurfaceObject {
 public:
  SurfaceObject(std::shared_ptr<Context> context, const CUDA_RESOURCE_DESC& resource);
  ~SurfaceObject();
  SurfaceObject(const SurfaceObject&) = delete;
  SurfaceObject& operator=(const SurfaceObject&) = delete;

  uintptr_t handle() const { return handle_; }
  Context& context() const { return *context_; }
  const CUDA_RESOURCE_DESC& resource() const { return resource_; }

 private:
  const std::shared_ptr<Context> context_;
  const uintptr_t handle_;
  const CUDA_RESOURCE_DESC resource_;
};

// CUDA_ERROR_INVALID_VALUE for all but arrays made for surfaces (CUDA_ARRAY3D_SURFACE_LDST).
CUresult make_surface(const CUDA_RESOURCE_DESC& resource, exec::Texture* made);
CUresult create_surface(Context& context, const CUDA_RESOURCE_DESC& resource, CUsurfObject* handle);

}  // namespace tessera::softgpu
