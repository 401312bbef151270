#include "softgpu/exec/texture_ops.h"

#include <bit>

#include "softgpu/exec/faults.h"
#include "softgpu/exec/handlers/runtime.h"
#include "softgpu/exec/texture_table.h"
#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {
namespace {

// Whether all of the texture's memory is the launch's: it may have been freed since.
bool reachable(Warp& warp, const Texture& texture, bool write) {
  uint64_t at = texture.address;
  const uint64_t end = at + texture.bytes();
  while (at < end) {
    if (!cache_range(warp, at) || (write && !warp.ranges[0].writable)) return false;
    at = warp.ranges[0].end;
  }
  return true;
}

Texel fetch_lane(const Texture& texture, const Op* op, const uint32_t* words) {
  uint32_t layer = 0;
  if (texture.layered) {
    layer = *words;
    words += kWarpSize;
  }
  std::array<int32_t, 3> integers{};
  std::array<float, 3> floats{};
  for (uint32_t d = 0; d < texture.dimensions; ++d) {
    integers[d] = std::bit_cast<int32_t>(words[d * kWarpSize]);
    floats[d] = std::bit_cast<float>(words[d * kWarpSize]);
  }
  return (op->aux & kTextureInteger) != 0 ? fetch(texture, layer, integers) : sample(texture, layer, floats);
}

}  // namespace

const char* texture_objection(Warp& warp, const Op* op, const Texture* texture, bool write) {
  if (texture == nullptr) return "nothing has this handle";
  const bool layered = (op->aux & kTextureLayered) != 0;
  if (texture->dimensions != (op->aux & kTextureDimensions) || texture->layered != layered)
    return "it is of another geometry than the instruction";
  return reachable(warp, *texture, write) ? nullptr : "its memory is gone";
}

const Op* fetch_texture(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  auto* results = reinterpret_cast<uint32_t*>(frame + op->o[0]);
  const auto* handles = reinterpret_cast<const uint64_t*>(frame + op->o[1]);
  const auto* coordinates = reinterpret_cast<const uint32_t*>(frame + op->o[2]);
  std::shared_ptr<const Texture> texture;
  uint64_t handle = 0;
  for (uint32_t left = mask; left != 0; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    if (texture == nullptr || handles[lane] != handle) {
      handle = handles[lane];
      texture = TextureTable::textures().find(handle);
      const char* wrong = texture_objection(warp, op, texture.get(), false);
      if (wrong != nullptr) return raise_fault(warp, op, FaultKind::kIllegalAddress, lane, handle, 0, wrong);
    }
    const Texel texel = fetch_lane(*texture, op, coordinates + lane);
    for (uint32_t c = 0; c < 4; ++c) results[c * kWarpSize + lane] = texel[c];
  }
  return op + 1;
}

}  // namespace tessera::softgpu::exec
