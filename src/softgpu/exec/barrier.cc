#include "softgpu/exec/barrier.h"

#include <bit>

#include "softgpu/exec/control.h"
#include "softgpu/exec/faults.h"
#include "softgpu/exec/scheduler.h"

namespace tessera::softgpu::exec {
namespace {

void write_result(WarpState& warp, const Group& group, const Barrier& barrier) {
  const Op& op = warp.frames[group.frame].function->ops[group.pc];
  if (op.aux == control::kBarrierSync) return;
  std::byte* frame = warp.pool.get() + warp.frames[group.frame].base;
  if (op.aux == control::kBarrierPopc) {
    auto* d = reinterpret_cast<uint32_t*>(frame + op.o[3]);
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      if ((group.mask >> lane & 1) != 0) d[lane] = barrier.count;
    }
    return;
  }
  const bool holds = op.aux == control::kBarrierAnd ? barrier.count == barrier.voters : barrier.count != 0;
  auto* p = reinterpret_cast<uint32_t*>(frame + op.o[3]);
  *p = holds ? *p | group.mask : *p & ~group.mask;
}

void open(BlockState& block, uint8_t id) {
  for (WarpState& warp : block.warps) {
    for (Group& group : warp.groups) {
      if (group.state != GroupState::kAtBarrier || group.barrier != id) continue;
      write_result(warp, group, block.barriers[id]);
      group.state = GroupState::kRunnable;
      ++group.pc;
    }
  }
  block.barriers[id] = {};
  block.pending_barriers &= ~(1u << id);
  ++block.progress;
}

}  // namespace

void open_complete_barriers(BlockState& block) {
  for (uint32_t left = block.pending_barriers; left != 0; left &= left - 1) {
    const uint8_t id = static_cast<uint8_t>(std::countr_zero(left));
    const Barrier& barrier = block.barriers[id];
    const uint32_t expected = barrier.expected != 0 ? barrier.expected : block.threads - block.exited;
    if ((barrier.expected != 0 ? barrier.arrived_padded : barrier.arrived) >= expected) open(block, id);
  }
}

namespace control {

const Op* barrier(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  WarpState& warp = *core.state;
  BlockState& block = *warp.block;
  const uint32_t first = static_cast<uint32_t>(__builtin_ctz(mask));
  const uint32_t id = reinterpret_cast<const uint32_t*>(frame + op->o[0])[first];
  const uint32_t expected = reinterpret_cast<const uint32_t*>(frame + op->o[1])[first];
  if (id >= kBarriers)
    return fault(core, op, FaultKind::kIllegalInstruction, first, "barrier number above 15");
  Barrier& barrier = block.barriers[id];
  block.pending_barriers |= 1u << id;
  barrier.expected = expected;
  barrier.arrived += static_cast<uint32_t>(std::popcount(mask));
  // With a thread count, a warp counts whole: also lanes that it never had or that have exited.
  barrier.arrived_padded += mask == core.alive ? kWarpSize : static_cast<uint32_t>(std::popcount(mask));
  if (op->aux >= kBarrierAnd) {
    const uint32_t source = *reinterpret_cast<const uint32_t*>(frame + op->o[2]);
    barrier.count += static_cast<uint32_t>(std::popcount(source & mask));
    barrier.voters += static_cast<uint32_t>(std::popcount(mask));
  }
  if (op->aux != kBarrierArrive) {
    Group& group = split_running(warp, mask, op + 1);
    group.pc = op_index(warp, group.frame, op);
    group.state = GroupState::kAtBarrier;
    group.barrier = static_cast<uint8_t>(id);
  } else {
    running_group(warp).pc = op_index(warp, running_group(warp).frame, op + 1);
  }
  open_complete_barriers(block);
  return reschedule(core);
}

}  // namespace control
}  // namespace tessera::softgpu::exec
