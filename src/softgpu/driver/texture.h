// Texture objects.
#pragma once

#include <memory>
#include <optional>

#include "cuda/abi.h"
#include "softgpu/exec/texture.h"

namespace tessera::softgpu {

class Context;

// In the executor's table as long as it lives.
class TextureObject {
 public:
  TextureObject(std::shared_ptr<Context> context, const CUDA_RESOURCE_DESC& resource,
                const CUDA_TEXTURE_DESC& texture, const CUDA_RESOURCE_VIEW_DESC* view);
  ~TextureObject();
  TextureObject(const TextureObject&) = delete;
  TextureObject& operator=(const TextureObject&) = delete;

  uintptr_t handle() const { return handle_; }
  Context& context() const { return *context_; }
  const CUDA_RESOURCE_DESC& resource() const { return resource_; }
  const CUDA_TEXTURE_DESC& texture() const { return texture_; }
  const std::optional<CUDA_RESOURCE_VIEW_DESC>& view() const { return view_; }

 private:
  const std::shared_ptr<Context> context_;
  const uintptr_t handle_;
  const CUDA_RESOURCE_DESC resource_;
  const CUDA_TEXTURE_DESC texture_;
  std::optional<CUDA_RESOURCE_VIEW_DESC> view_;
};

// What the executor samples. CUDA_ERROR_INVALID_VALUE for what CUDA forbids, CUDA_ERROR_NOT_SUPPORTED for
// views as block-compressed formats.
CUresult make_texture(const CUDA_RESOURCE_DESC& resource, const CUDA_TEXTURE_DESC& texture,
                      const CUDA_RESOURCE_VIEW_DESC* view, exec::Texture* made);
// Errors as of make_texture.
CUresult create_texture(Context& context, const CUDA_RESOURCE_DESC& resource,
                        const CUDA_TEXTURE_DESC& texture, const CUDA_RESOURCE_VIEW_DESC* view,
                        CUtexObject* handle);
// CUDA_ERROR_INVALID_VALUE where there is none of that handle.
CUresult texture_of(CUtexObject handle, std::shared_ptr<TextureObject>* texture);

}  // namespace tessera::softgpu
