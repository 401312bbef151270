// The handlers of surface loads and stores. Compiled once, as those of textures.
#pragma once

#include "softgpu/exec/op.h"

namespace tessera::softgpu::exec {

// What becomes of an access outside of the surface.
enum class SurfaceBounds : uint32_t {
  kTrap,   // it is a fault
  kClamp,  // it goes to the nearest place within
  kZero,   // a load gives 0, a store does nothing
};

// Op::aux: the geometry as of texture_ops.h. Op::aux2: SurfaceBounds. Op::imm: bytes of the access, 1 to 16.
// o: the bytes in a region, the handle (64 bits), the coordinates as words, the first in bytes.
const Op* load_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);
const Op* store_surface(Warp& warp, const Op* op, std::byte* frame, uint32_t mask);

}  // namespace tessera::softgpu::exec
