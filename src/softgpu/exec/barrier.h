// Block-wide barriers. A barrier opens when the threads it expects have arrived; threads that exited never
// hold it up.
#pragma once

#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {

// Opens the barriers that are complete: after an arrival, and after threads exited.
void open_complete_barriers(BlockState& block);

}  // namespace tessera::softgpu::exec
