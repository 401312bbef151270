#include "softgpu/exec/surface_ops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <type_traits>

#include "softgpu/exec/half.h"
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
  const TextureLevel& level = surface.levels[0];
  const int64_t texel = surface.texel_bytes(), bytes = op->imm == 0 ? texel : op->imm;
  int64_t slice = surface.layered ? next() : 0;
  int64_t x = next() * ((op->aux & kSurfaceTexels) != 0 ? texel : 1);
  int64_t y = surface.dimensions > 1 ? next() : 0;
  if (surface.dimensions > 2) slice = next();
  const int64_t row = int64_t{level.extent[0]} * texel;
  if (row < bytes) return {};
  const bool within = bring_within(bounds, row - bytes, &x) &&
                      bring_within(bounds, int64_t{level.extent[1]} - 1, &y) &&
                      bring_within(bounds, int64_t{surface.slices()} - 1, &slice);
  if (!within) return {};
  const uint64_t address = level.address + static_cast<uint64_t>(slice) * level.slice_bytes +
                           static_cast<uint64_t>(y) * level.row_bytes + static_cast<uint64_t>(x);
  return {reinterpret_cast<std::byte*>(address), x % bytes != 0};
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

// A fraction of 1 as the nearest integer; what is beyond is 1 or -1, what is no number 0.
uint32_t integer_of_fraction(Channel channel, float fraction) {
  const bool with_sign = channel == Channel::kS8 || channel == Channel::kS16;
  const uint32_t bits = channel_bytes(channel) * 8 - (with_sign ? 1 : 0);
  const float within = std::isnan(fraction) ? 0 : std::clamp(fraction, with_sign ? -1.0f : 0.0f, 1.0f);
  return static_cast<uint32_t>(std::lround(within * static_cast<float>((1u << bits) - 1)));
}

// A word of a formatted store as a channel stores it: floats as such, integers by their low bytes.
uint32_t channel_of(const Texture& surface, uint32_t word) {
  if (surface.channel == Channel::kF16) return float_to_half(std::bit_cast<float>(word));
  return surface.fractions ? integer_of_fraction(surface.channel, std::bit_cast<float>(word)) : word;
}

template <class T>
T reduced(SurfaceReduction how, T old, T number) {
  using Unsigned = std::make_unsigned_t<T>;
  switch (how) {
    case SurfaceReduction::kAdd:
      return static_cast<T>(static_cast<Unsigned>(old) + static_cast<Unsigned>(number));
    case SurfaceReduction::kMin:
      return std::min(old, number);
    case SurfaceReduction::kMax:
      return std::max(old, number);
    case SurfaceReduction::kAnd:
      return old & number;
    case SurfaceReduction::kOr:
      break;
  }
  return old | number;
}

template <class T>
void reduce_at(std::byte* memory, SurfaceReduction how, T number) {
  T old;
  std::memcpy(&old, memory, sizeof(T));
  const T next = reduced(how, old, number);
  std::memcpy(memory, &next, sizeof(T));
}

// By the numbers that the texels are, where the coordinate counts texels.
bool is_signed(const Texture& surface, const Op* op) {
  if ((op->aux & kSurfaceTexels) == 0) return (op->aux & kSurfaceSigned) != 0;
  return surface.channel == Channel::kS8 || surface.channel == Channel::kS16 ||
         surface.channel == Channel::kS32;
}

template <class T>
void reduce_lane(const Texture& surface, const Op* op, std::byte* memory, T number) {
  using Signed = std::make_signed_t<T>;
  const auto how = static_cast<SurfaceReduction>(op->aux >> kSurfaceParameterShift);
  if (is_signed(surface, op)) {
    reduce_at<Signed>(memory, how, static_cast<Signed>(number));
  } else {
    reduce_at<T>(memory, how, number);
  }
}

// Calls `access` with the surface, the lane and its place for each lane of the mask, or raises the fault of
// the first that is not allowed.
template <bool kStore, class Access>
const Op* access_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask, const Access& access) {
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
    access(*surface, lane, place.memory);
  }
  return op + 1;
}

}  // namespace

const Op* load_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  return access_surface<false>(warp, op, frame, mask, [&](const Texture&, uint32_t lane, std::byte* memory) {
    transfer<false>(memory, frame + op->o[0], lane, static_cast<size_t>(op->imm));
  });
}

const Op* store_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  return access_surface<true>(warp, op, frame, mask, [&](const Texture&, uint32_t lane, std::byte* memory) {
    transfer<true>(memory, frame + op->o[0], lane, static_cast<size_t>(op->imm));
  });
}

const Op* store_surface_formatted(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  const auto* words = reinterpret_cast<const uint32_t*>(frame + op->o[0]);
  const uint32_t count = op->aux >> kSurfaceParameterShift;
  return access_surface<true>(
      warp, op, frame, mask, [&](const Texture& surface, uint32_t lane, std::byte* memory) {
        const uint32_t bytes = channel_bytes(surface.channel);
        for (uint32_t c = 0; c < surface.channels; ++c) {
          const uint32_t word = c < count ? channel_of(surface, words[c * kWarpSize + lane]) : 0;
          std::memcpy(memory + size_t{c} * bytes, &word, bytes);
        }
      });
}

const Op* reduce_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask) {
  // Rows lie without gaps, so a number may lie at any address, where processors have no atomic operations.
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  const std::byte* numbers = frame + op->o[0];
  return access_surface<true>(
      warp, op, frame, mask, [&](const Texture& surface, uint32_t lane, std::byte* memory) {
        if (op->imm == sizeof(uint64_t)) {
          reduce_lane(surface, op, memory, reinterpret_cast<const uint64_t*>(numbers)[lane]);
        } else {
          reduce_lane(surface, op, memory, reinterpret_cast<const uint32_t*>(numbers)[lane]);
        }
      });
}

}  // namespace tessera::softgpu::exec
