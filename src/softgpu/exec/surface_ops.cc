#include "softgpu/exec/surface_ops.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "softgpu/exec/handlers/runtime.h"
#include "softgpu/exec/texture_ops.h"
#include "softgpu/exec/texture_table.h"
#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {
namespace {

// Brings a coordinate into [0, last] where that is asked for; false where it is outside.
bool bring_within(SurfaceBounds bounds, int64_t last, int64_t* at) {
  if (bounds == SurfaceBounds::kClamp) *at = std::clamp<int64_t>(*at, 0, last);
  return *at >= 0 && *at <= last;
}

// One access of a lane: where it is, or that it is nowhere.
struct Place {
  std::byte* memory = nullptr;  // null outside of the surface
  bool misaligned = false;
};

Place place_of(const Texture& surface, const Op* op, const uint32_t* words) {
  const auto bounds = static_cast<SurfaceBounds>(op->aux2);
  const auto next = [&words] {
    const auto word = std::bit_cast<int32_t>(*words);
    words += kWarpSize;
    return int64_t{word};
  };
  int64_t slice = surface.layered ? next() : 0;
  int64_t x = next();
  int64_t y = surface.dimensions > 1 ? next() : 0;
  if (surface.dimensions > 2) slice = next();
  const TextureLevel& level = surface.levels[0];
  const int64_t row = int64_t{level.extent[0]} * surface.texel_bytes();
  if (row < op->imm) return {};
  const bool within = bring_within(bounds, row - op->imm, &x) &&
                      bring_within(bounds, int64_t{level.extent[1]} - 1, &y) &&
                      bring_within(bounds, int64_t{surface.slices()} - 1, &slice);
  if (!within) return {};
  const uint64_t address = level.address + static_cast<uint64_t>(slice) * level.slice_bytes +
                           static_cast<uint64_t>(y) * level.row_bytes + static_cast<uint64_t>(x);
  return {reinterpret_cast<std::byte*>(address), x % op->imm != 0};
}

// Bytes of a lane in a region lie in words, a warp's width from one to the next.
template <bool kStore>
void transfer(std::byte* memory, std::byte* region, uint32_t lane, size_t bytes) {
  for (size_t i = 0; i < bytes; i += sizeof(uint32_t)) {
    std::byte* word = region + (i * kWarpSize + lane * sizeof(uint32_t));
    const size_t part = std::min(bytes - i, sizeof(uint32_t));
    if (kStore) {
      std::memcpy(memory + i, word, part);
    } else if (memory != nullptr) {
      std::memcpy(word, memory + i, part);
    } else {
      std::memset(word, 0, part);
    }
  }
}

template <bool kStore>
const Op* access_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  std::byte* region = frame + op->o[0];
  const auto* handles = reinterpret_cast<const uint64_t*>(frame + op->o[1]);
  const auto* coordinates = reinterpret_cast<const uint32_t*>(frame + op->o[2]);
  std::shared_ptr<const Texture> surface;
  uint64_t handle = 0;
  for (uint32_t left = mask; left != 0; left &= left - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(left));
    if (surface == nullptr || handles[lane] != handle) {
      handle = handles[lane];
      surface = TextureTable::surfaces().find(handle);
      const char* wrong = texture_objection(warp, op, surface.get(), kStore);
      if (wrong != nullptr) return raise_fault(warp, op, FaultKind::kIllegalAddress, lane, handle, 0, wrong);
    }
    const Place place = place_of(*surface, op, coordinates + lane);
    const auto bytes = static_cast<uint32_t>(op->imm);
    if (place.memory == nullptr && op->aux2 == static_cast<uint32_t>(SurfaceBounds::kTrap))
      return raise_fault(warp, op, FaultKind::kIllegalAddress, lane, handle, bytes, "outside of the surface");
    if (place.misaligned)
      return raise_fault(warp, op, FaultKind::kMisalignedAddress, lane, handle, bytes,
                         "a misaligned coordinate");
    if (kStore && place.memory == nullptr) continue;
    transfer<kStore>(place.memory, region, lane, bytes);
  }
  return op + 1;
}

}  // namespace

const Op* load_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  return access_surface<false>(warp, op, frame, mask);
}

const Op* store_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  return access_surface<true>(warp, op, frame, mask);
}

}  // namespace tessera::softgpu::exec
