// alloca, stacksave and stackrestore: local memory whose size is known when it is asked for.
#include <algorithm>

#include "softgpu/exec/control.h"
#include "softgpu/exec/faults.h"
#include "softgpu/exec/frames.h"
#include "softgpu/exec/scheduler.h"

namespace tessera::softgpu::exec::control {
namespace {

uint64_t* lanes(std::byte* frame, uint32_t offset) { return reinterpret_cast<uint64_t*>(frame + offset); }

template <class F>
void for_each(uint32_t mask, F visit) {
  for (; mask != 0; mask &= mask - 1) visit(static_cast<uint32_t>(__builtin_ctz(mask)));
}

}  // namespace

// All lanes get the room of the one that asks for most, at the same place.
const Op* stack_allocate(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  WarpState& warp = *core.state;
  const uint64_t* sizes = lanes(frame, op->o[1]);
  uint64_t most = 0;
  for_each(mask, [&](uint32_t lane) { most = std::max(most, sizes[lane]); });
  uint32_t address = 0;
  if (!extend_frame(warp, running_group(warp).frame, most, op->aux, &address))
    return fault(core, op, FaultKind::kStackOverflow, static_cast<uint32_t>(__builtin_ctz(mask)),
                 "stack overflow");
  uint64_t* d = lanes(frame, op->o[0]);
  for_each(mask, [&](uint32_t lane) { d[lane] = address; });
  return op + 1;
}

const Op* stack_save(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  const WarpState& warp = *core.state;
  const uint32_t top = warp.frames[warp.groups[core.running].frame].stack;
  uint64_t* d = lanes(frame, op->o[0]);
  for_each(mask, [&](uint32_t lane) { d[lane] = top; });
  return op + 1;
}

// Lanes that have diverged may still use what others give back: it stays until the function returns.
const Op* stack_restore(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  WarpState& warp = *core.state;
  Frame& running = warp.frames[running_group(warp).frame];
  if (mask != (running.lanes & core.alive)) return op + 1;
  const uint64_t* saved = lanes(frame, op->o[0]);
  uint64_t top = 0;
  for_each(mask, [&](uint32_t lane) { top = std::max(top, saved[lane]); });
  running.stack = static_cast<uint32_t>(std::min<uint64_t>(top, running.stack));
  return op + 1;
}

}  // namespace tessera::softgpu::exec::control
