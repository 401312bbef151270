// The functions that the device's runtime provides: programs declare them .extern, and nothing defines them.
#pragma once

#include <string>

#include "softgpu/exec/warp.h"

namespace tessera::softgpu::exec {

struct DeviceBuiltin {
  const char* name;
  size_t arguments;
  bool KernelInfo::*need;  // what a kernel that calls it needs of the driver, or null
  // Runs it for the lanes of `mask`; the operation to go on with.
  const Op* (*run)(Warp& warp, const Op* op, const CallSite& site, std::byte* frame, uint32_t mask);
};

// Null for any other name.
const DeviceBuiltin* find_device_builtin(const std::string& name);

}  // namespace tessera::softgpu::exec
