// What handlers ask of code that is compiled once for all instruction sets.
#pragma once

#include "softgpu/exec/executor.h"
#include "softgpu/exec/op.h"

namespace tessera::softgpu::exec {

// The running group's lanes in `mask` wait at `op` for the lanes their parked masks name; returns kLeave.
const Op* wait_at_sync(Warp& warp, const Op* op, uint32_t mask);
// Makes the range that holds `address` the warp's first cached range; false where no range does. For an
// access of so many bytes: pages on demand come with it.
bool cache_range(Warp& warp, uint64_t address, uint64_t bytes, bool write);
// Something happened that threads of the block may have waited for.
void note_progress(Warp& warp);
// Records a fault of one lane; returns kLeave.
const Op* raise_fault(Warp& warp, const Op* op, FaultKind kind, uint32_t lane, uint64_t address,
                      uint32_t bytes, const char* what);

}  // namespace tessera::softgpu::exec
