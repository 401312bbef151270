// What ends a block.
#pragma once

#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {

// Records the fault of one lane; returns kLeave.
const Op* fault(Warp& warp, const Op* op, FaultKind kind, uint32_t lane, const char* what);
// The warp's fault as the driver sees it.
Fault describe_fault(const WarpState& warp);

}  // namespace tessera::softgpu::exec
