#include "softgpu/exec/faults.h"

#include <cstdio>

#include "softgpu/exec/handlers/runtime.h"

namespace tessera::softgpu::exec {

const Op* raise_fault(Warp& warp, const Op* op, FaultKind kind, uint32_t lane, uint64_t address,
                      uint32_t bytes, const char* what) {
  warp.event = Event::kFault;
  warp.fault = kind;
  warp.fault_lane = lane;
  warp.fault_line = op->line;
  warp.fault_address = address;
  warp.fault_bytes = bytes;
  warp.fault_what = what;
  return kLeave;
}

const Op* fault(Warp& warp, const Op* op, FaultKind kind, uint32_t lane, const char* what) {
  return raise_fault(warp, op, kind, lane, 0, 0, what);
}

Fault describe_fault(const WarpState& warp) {
  const Warp& core = warp.core;
  const BlockState& block = *warp.block;
  const Dim3& size = block.launch->block;
  const uint32_t thread = warp.index * kWarpSize + core.fault_lane;
  Fault fault;
  fault.kind = core.fault;
  fault.address = core.fault_address;
  fault.block = block.block;
  fault.thread = {thread % size.x, thread / size.x % size.y, thread / (size.x * size.y)};
  char access[96] = "";
  if (core.fault_bytes != 0) {
    std::snprintf(access, sizeof(access), "%u bytes at %#llx: ", core.fault_bytes,
                  static_cast<unsigned long long>(core.fault_address));
  }
  char where[160];
  std::snprintf(where, sizeof(where), " (PTX line %u, block [%u,%u,%u], thread [%u,%u,%u])", core.fault_line,
                fault.block.x, fault.block.y, fault.block.z, fault.thread.x, fault.thread.y, fault.thread.z);
  fault.detail = block.kernel->kernel_info.name + ": " + access + core.fault_what + where;
  return fault;
}

}  // namespace tessera::softgpu::exec
