// The functions that the device's runtime provides: vprintf and __assertfail.
#pragma once

#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {

const Op* run_device_call(Warp& warp, const Op* op, const CallSite& site, std::byte* frame, uint32_t mask);

}  // namespace tessera::softgpu::exec
