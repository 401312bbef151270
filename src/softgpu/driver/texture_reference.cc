#include "softgpu/driver/texture_reference.h"

#include "softgpu/driver/context.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/surface.h"
#include "softgpu/driver/texture.h"
#include "softgpu/exec/texture_table.h"

namespace tessera::softgpu {
namespace {

using exec::TextureTable;

// What the executor reads, or nothing where the state makes no texture.
std::shared_ptr<exec::Texture> sampled_by(const TextureReference::State& state) {
  if (!state.resource) return nullptr;
  CUDA_RESOURCE_DESC resource = *state.resource;
  if (resource.resType == CU_RESOURCE_TYPE_LINEAR) {
    resource.res.linear.format = state.format;
    resource.res.linear.numChannels = state.channels;
  }
  auto texture = std::make_shared<exec::Texture>();
  const CUresult made = make_texture(resource, state.sampling, nullptr, texture.get());
  return made == CUDA_SUCCESS ? texture : nullptr;
}

void publish(TextureTable& table, uintptr_t handle, std::shared_ptr<exec::Texture> texture) {
  if (texture != nullptr) {
    table.add(handle, std::move(texture));
  } else {
    table.remove(handle);
  }
}

}  // namespace

TextureReference::TextureReference(std::shared_ptr<Context> context)
    : context_(std::move(context)), handle_(next_handle()) {
  for (auto& mode : state_.sampling.addressMode) mode = CU_TR_ADDRESS_MODE_CLAMP;
  state_.sampling.maxAnisotropy = 1;
}

TextureReference::~TextureReference() { TextureTable::textures().remove(handle_); }

TextureReference::State TextureReference::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

CUresult TextureReference::change(const std::function<CUresult(State&)>& how) {
  const CUresult status = context_->synchronize();
  if (status != CUDA_SUCCESS) return status;
  std::lock_guard lock(mutex_);
  State changed = state_;
  const CUresult result = how(changed);
  if (result != CUDA_SUCCESS) return result;
  state_ = changed;
  publish(TextureTable::textures(), handle_, sampled_by(state_));
  return CUDA_SUCCESS;
}

SurfaceReference::SurfaceReference(std::shared_ptr<Context> context)
    : context_(std::move(context)), handle_(next_handle()) {}

SurfaceReference::~SurfaceReference() { TextureTable::surfaces().remove(handle_); }

CUarray SurfaceReference::array() const {
  std::lock_guard lock(mutex_);
  return array_;
}

CUresult SurfaceReference::bind(CUarray array) {
  CUDA_RESOURCE_DESC resource{};
  resource.resType = CU_RESOURCE_TYPE_ARRAY;
  resource.res.array.hArray = array;
  auto surface = std::make_shared<exec::Texture>();
  CUresult result = make_surface(resource, surface.get());
  if (result == CUDA_SUCCESS) result = context_->synchronize();
  if (result != CUDA_SUCCESS) return result;
  std::lock_guard lock(mutex_);
  array_ = array;
  publish(TextureTable::surfaces(), handle_, std::move(surface));
  return CUDA_SUCCESS;
}

std::shared_ptr<TextureReference> make_texture_reference(Context& context) {
  auto made = std::make_shared<TextureReference>(context.shared_from_this());
  live<TextureReference>().add(made->handle(), made);
  return made;
}

std::shared_ptr<SurfaceReference> make_surface_reference(Context& context) {
  auto made = std::make_shared<SurfaceReference>(context.shared_from_this());
  live<SurfaceReference>().add(made->handle(), made);
  return made;
}

void forget_reference(const TextureReference& reference) {
  live<TextureReference>().remove(reinterpret_cast<const void*>(reference.handle()));
}

void forget_reference(const SurfaceReference& reference) {
  live<SurfaceReference>().remove(reinterpret_cast<const void*>(reference.handle()));
}

}  // namespace tessera::softgpu
