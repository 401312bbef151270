// Shapes of launches, as calls and graph nodes take them.
#pragma once

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {

// Small, or more than there can be: work that is allowed is done in an instant.
struct Shape {
  unsigned grid[3], block[3], shared_bytes;
};
Shape launch_shape(World& world);

// A pointer to memory that all threads find their word in, but for a few.
struct Arguments {
  CUdeviceptr pointer;
  unsigned number;
  void* list[2] = {&pointer, &number};
  explicit Arguments(World& world) : pointer(world.room(1 << 16)), number(world.bytes.byte()) {
    if (world.bytes.rarely()) pointer = world.device_pointer();
  }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;
};

}  // namespace tessera::fuzz
