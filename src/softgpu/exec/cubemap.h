// The faces of a cubemap: CUDA C++ Programming Guide, "Cubemap Textures".
#pragma once

#include <array>
#include <cstdint>

namespace tessera::softgpu::exec {

using Direction = std::array<double, 3>;

struct FacePoint {
  uint32_t face = 0;    // +x, -x, +y, -y, +z, -z
  double s = 0, t = 0;  // in [0, 1]; no numbers for a direction of length 0
};

// Where a direction meets the cube. Of equal components the later counts as the longer, which the guide
// leaves open.
FacePoint project(const Direction& direction);
// The other way; s and t may be outside of the face's [0, 1].
Direction direction_of(const FacePoint& point);
// How s and t change where the direction changes by `step`, in first order.
std::array<double, 2> projected_step(const Direction& direction, const Direction& step);

}  // namespace tessera::softgpu::exec
