// Copies of boxes, as calls and graph nodes take them.
#pragma once

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {

CUDA_MEMCPY3D box_copy(World& world);

}  // namespace tessera::fuzz
