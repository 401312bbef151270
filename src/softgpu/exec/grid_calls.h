// The functions of the CUDA device runtime, beside those in device_calls.h.
#pragma once

#include <span>

#include "softgpu/exec/device_calls.h"

namespace tessera::softgpu::exec {

std::span<const DeviceBuiltin> grid_builtins();

}  // namespace tessera::softgpu::exec
