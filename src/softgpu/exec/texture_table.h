// The textures and the surfaces of the process by handle. The driver enters them; kernels name them by
// numbers that may be anything, which are looked up here and never followed.
#pragma once

#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <unordered_map>

#include "softgpu/exec/texture.h"

namespace tessera::softgpu::exec {

class TextureTable {
 public:
  static TextureTable& textures();
  static TextureTable& surfaces();
  void add(uint64_t handle, std::shared_ptr<const Texture> texture);
  void remove(uint64_t handle);
  // Null where there is none.
  std::shared_ptr<const Texture> find(uint64_t handle) const;

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<const Texture>> textures_;
};

}  // namespace tessera::softgpu::exec
