// Texture and surface references: what kernels name by variables of their module (.texref, .surfref) and the
// program binds by calls, as it was before there were texture objects.
//
// A reference is in the executor's tables under its handle while it is bound to something that it can read. A
// card takes what a reference is at each launch; here a change waits until the context's kernels are done,
// which comes to the same.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "cuda/abi.h"

namespace tessera::softgpu {

class Context;

class TextureReference {
 public:
  struct State {
    // Of linear memory, the format below counts.
    std::optional<CUDA_RESOURCE_DESC> resource;
    CUDA_TEXTURE_DESC sampling{};
    CUarray_format format = CU_AD_FORMAT_FLOAT;
    unsigned channels = 1;
    uint64_t offset = 0;  // from the address that is bound to the one that was asked for, in bytes
    bool is(CUresourcetype type) const { return resource && resource->resType == type; }
  };

  explicit TextureReference(std::shared_ptr<Context> context);
  ~TextureReference();
  TextureReference(const TextureReference&) = delete;
  TextureReference& operator=(const TextureReference&) = delete;

  uintptr_t handle() const { return handle_; }
  Context& context() const { return *context_; }
  State state() const;
  // What `how` makes of the state, where it succeeds, is what kernels see from now on. What makes no texture,
  // as a linear filter over integers, is unbound for them.
  CUresult change(const std::function<CUresult(State&)>& how);

 private:
  const std::shared_ptr<Context> context_;
  const uintptr_t handle_;
  mutable std::mutex mutex_;
  State state_;
};

class SurfaceReference {
 public:
  explicit SurfaceReference(std::shared_ptr<Context> context);
  ~SurfaceReference();
  SurfaceReference(const SurfaceReference&) = delete;
  SurfaceReference& operator=(const SurfaceReference&) = delete;

  uintptr_t handle() const { return handle_; }
  Context& context() const { return *context_; }
  CUarray array() const;  // null where none is bound
  // CUDA_ERROR_INVALID_VALUE for an array that is not made for surfaces.
  CUresult bind(CUarray array);

 private:
  const std::shared_ptr<Context> context_;
  const uintptr_t handle_;
  mutable std::mutex mutex_;
  CUarray array_ = nullptr;
};

// Living ones, until they are forgotten.
std::shared_ptr<TextureReference> make_texture_reference(Context& context);
std::shared_ptr<SurfaceReference> make_surface_reference(Context& context);
void forget_reference(const TextureReference& reference);
void forget_reference(const SurfaceReference& reference);

}  // namespace tessera::softgpu
