#include "softgpu/exec/texture_ops.h"

#include <bit>

#include "softgpu/exec/faults.h"
#include "softgpu/exec/half.h"
#include "softgpu/exec/handlers/runtime.h"
#include "softgpu/exec/sampler.h"
#include "softgpu/exec/texture_table.h"
#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {
namespace {

// Whether all of the texture's memory is the launch's: it may have been freed since.
bool reachable(Warp& warp, const Texture& texture, bool write) {
  uint64_t at = texture.levels[0].address;
  const uint64_t end = at + texture.bytes();
  while (at < end) {
    if (!cache_range(warp, at, 1, write) || (write && !warp.ranges[0].writable)) return false;
    at = warp.ranges[0].end;
  }
  return true;
}

// The words of a lane, one after the other.
class Words {
 public:
  explicit Words(const uint32_t* first) : next_(first) {}
  uint32_t next() {
    const uint32_t word = *next_;
    next_ += kWarpSize;
    return word;
  }
  template <class T>
  std::array<T, 3> vector(uint32_t count) {
    std::array<T, 3> values{};
    for (uint32_t i = 0; i < count; ++i) values[i] = std::bit_cast<T>(next());
    return values;
  }

 private:
  const uint32_t* next_;
};

Texel fetch_integer(const Texture& texture, const Op* op, uint32_t layer, Words words) {
  auto at = words.vector<uint32_t>(texture.dimensions);  // unsigned: an offset may lead beyond the numbers
  const auto level = (op->aux & kTextureLevel) != 0 ? std::bit_cast<int32_t>(words.next()) : 0;
  const auto offset = words.vector<uint32_t>((op->aux & kTextureOffset) != 0 ? texture.dimensions : 0);
  for (size_t d = 0; d < at.size(); ++d) at[d] += offset[d];
  return fetch(texture, layer, std::bit_cast<std::array<int32_t, 3>>(at), level);
}

Texel fetch_lane(const Texture& texture, const Op* op, const uint32_t* first) {
  Words words(first);
  TexturePoint point;
  if (texture.layered) point.layer = words.next();
  if ((op->aux & kTextureInteger) != 0) return fetch_integer(texture, op, point.layer, words);
  const uint32_t coordinates = texture.cubemap ? 3 : texture.dimensions;
  point.at = words.vector<float>(coordinates);
  float level = base_level(texture);
  if ((op->aux & kTextureLevel) != 0) level = level_of(texture, std::bit_cast<float>(words.next()));
  if ((op->aux & kTextureGradient) != 0) {
    const auto dx = words.vector<float>(coordinates);
    const auto dy = words.vector<float>(coordinates);
    level = level_of_gradients(texture, point, dx, dy);
  }
  if ((op->aux & kTextureOffset) != 0) point.offset = words.vector<int32_t>(texture.dimensions);
  return (op->aux & kTextureGather) != 0 ? gather(texture, point, op->aux2) : sample(texture, point, level);
}

uint32_t half_pair(uint32_t low, uint32_t high) {
  return float_to_half(std::bit_cast<float>(low)) | uint32_t{float_to_half(std::bit_cast<float>(high))} << 16;
}

}  // namespace

const char* texture_objection(Warp& warp, const Op* op, const Texture* texture, bool write) {
  if (texture == nullptr) return "nothing has this handle";
  const bool layered = (op->aux & kTextureLayered) != 0, cubemap = (op->aux & kTextureCubemap) != 0;
  if (texture->dimensions != (op->aux & kTextureDimensions) || texture->layered != layered ||
      texture->cubemap != cubemap)
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
    if ((op->aux & kTextureHalf) != 0) {
      for (uint32_t c = 0; c < 2; ++c)
        results[c * kWarpSize + lane] = half_pair(texel[size_t{2} * c], texel[size_t{2} * c + 1]);
    } else {
      for (uint32_t c = 0; c < 4; ++c) results[c * kWarpSize + lane] = texel[c];
    }
  }
  return op + 1;
}

}  // namespace tessera::softgpu::exec
