#include "softgpu/exec/texture_table.h"

#include <mutex>

namespace tessera::softgpu::exec {

TextureTable& TextureTable::textures() {
  static auto* table = new TextureTable();
  return *table;
}

TextureTable& TextureTable::surfaces() {
  static auto* table = new TextureTable();
  return *table;
}

void TextureTable::add(uint64_t handle, std::shared_ptr<const Texture> texture) {
  std::lock_guard lock(mutex_);
  textures_[handle] = std::move(texture);
}

void TextureTable::remove(uint64_t handle) {
  std::lock_guard lock(mutex_);
  textures_.erase(handle);
}

std::shared_ptr<const Texture> TextureTable::find(uint64_t handle) const {
  std::shared_lock lock(mutex_);
  const auto found = textures_.find(handle);
  return found == textures_.end() ? nullptr : found->second;
}

}  // namespace tessera::softgpu::exec
