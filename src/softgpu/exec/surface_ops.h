// The handlers of surface accesses. Compiled once, as those of textures.
#pragma once

#include "softgpu/exec/op.h"

namespace tessera::softgpu::exec {

// What becomes of an access outside of the surface.
enum class SurfaceBounds : uint32_t {
  kTrap,   // it is a fault
  kClamp,  // it goes to the nearest place within
  kZero,   // a load gives 0, a store or reduction does nothing
};

enum class SurfaceReduction : uint32_t { kAdd, kMin, kMax, kAnd, kOr };

// Op::aux: the geometry as of texture_ops.h, and
constexpr uint32_t kSurfaceTexels = 16;         // the first coordinate counts texels, not bytes
constexpr uint32_t kSurfaceSigned = 32;         // a reduction's numbers have a sign, unless the texels say it
constexpr uint32_t kSurfaceParameterShift = 8;  // SurfaceReduction, or how many words a formatted store has

// Op::aux2: SurfaceBounds. Op::imm: bytes of the access, 1 to 16.
// o: the bytes in a region, the handle (64 bits), the coordinates as words.
const Op* load_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);
const Op* store_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);
// A whole texel; words become the channels' type. Of integers that do not fit the low bits are stored, as by
// PTX's cvt, channels without a word become 0; neither is specified. Op::imm: 0.
const Op* store_surface_formatted(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);
// o: the number (32 or 64 bits) in place of the region. Atomic.
const Op* reduce_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);

}  // namespace tessera::softgpu::exec
