#include "softgpu/exec/control.h"

#include <algorithm>

#include "common/clock.h"
#include "softgpu/exec/barrier.h"
#include "softgpu/exec/cluster.h"
#include "softgpu/exec/device_calls.h"
#include "softgpu/exec/faults.h"
#include "softgpu/exec/frames.h"
#include "softgpu/exec/program_image.h"
#include "softgpu/exec/scheduler.h"

namespace tessera::softgpu::exec::control {
namespace {

uint32_t predicate(const std::byte* frame, uint32_t offset) {
  return *reinterpret_cast<const uint32_t*>(frame + offset);
}
uint32_t first_lane(uint32_t mask) { return static_cast<uint32_t>(__builtin_ctz(mask)); }

const Op* goto_op(Warp& core, const Op* op, const Op* target) {
  if (target > op || --core.back_edges >= 0) return target;
  WarpState& warp = *core.state;
  running_group(warp).pc = op_index(warp, running_group(warp).frame, target);
  core.event = Event::kBackEdges;
  return kLeave;
}

const Op* branch(Warp& core, const Op* op, uint32_t mask, uint32_t taken) {
  const Op* target = op + op->imm;
  if (taken == 0) return op + 1;
  if (taken == mask) return goto_op(core, op, target);
  WarpState& warp = *core.state;
  Group& group = split_running(warp, taken, op + 1);
  group.pc = op_index(warp, group.frame, target);
  if (target <= op && --core.back_edges < 0) {
    core.event = Event::kBackEdges;
    return kLeave;
  }
  return reschedule(core);
}

template <class F>
void write32(std::byte* frame, uint32_t offset, uint32_t mask, F value) {
  auto* d = reinterpret_cast<uint32_t*>(frame + offset);
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) != 0) d[lane] = static_cast<uint32_t>(value);
  }
}
void write64(std::byte* frame, uint32_t offset, uint32_t mask, uint64_t value) {
  auto* d = reinterpret_cast<uint64_t*>(frame + offset);
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    if ((mask >> lane & 1) != 0) d[lane] = value;
  }
}

// Enters `function` with the lanes of `mask`; the running group is exactly these.
const Op* enter(Warp& core, const Op* op, const CallSite& site, int32_t function, uint32_t mask) {
  WarpState& warp = *core.state;
  Group& group = running_group(warp);
  const uint32_t caller = group.frame;
  const DecodedFunction& callee = warp.block->kernel->functions[static_cast<size_t>(function)];
  uint32_t frame = 0;
  if (!push_frame(warp, callee, mask, caller, op_index(warp, caller, op), &frame)) {
    return fault(core, op, FaultKind::kStackOverflow, first_lane(mask), "stack overflow");
  }
  std::byte* to = warp.pool.get() + warp.frames[frame].base;
  const std::byte* from = warp.pool.get() + warp.frames[caller].base;
  for (const Transfer& argument : site.arguments) {
    const ParameterSlot& slot = callee.parameters[argument.index];
    copy_parameters(to + slot.offset, from + argument.caller, std::min(slot.bytes, argument.bytes), mask);
  }
  group.frame = frame;
  group.pc = 0;
  // Recursion without a loop must still let the scheduler look.
  if (--core.back_edges < 0) {
    core.event = Event::kBackEdges;
    return kLeave;
  }
  return reschedule(core);
}

const CallSite& site_of(const WarpState& warp, const Op* op) {
  const Frame& frame = warp.frames[warp.groups[warp.core.running].frame];
  return frame.function->calls[static_cast<size_t>(op->imm)];
}

}  // namespace

const Op* run_if(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  const uint32_t on = mask & predicate(frame, op->guard);
  return on == 0 ? op + 1 : op->inner(core, op, frame, on);
}
const Op* run_unless(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  const uint32_t on = mask & ~predicate(frame, op->guard);
  return on == 0 ? op + 1 : op->inner(core, op, frame, on);
}

const Op* jump(Warp& core, const Op* op, std::byte*, uint32_t) { return goto_op(core, op, op + op->imm); }
const Op* branch_if(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  return branch(core, op, mask, mask & predicate(frame, op->guard));
}
const Op* branch_unless(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  return branch(core, op, mask, mask & ~predicate(frame, op->guard));
}

const Op* branch_table(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  WarpState& warp = *core.state;
  const auto* index = reinterpret_cast<const uint32_t*>(frame + op->o[0]);
  const auto& table =
      warp.frames[running_group(warp).frame].function->branch_tables[static_cast<size_t>(op->imm)];
  for (uint32_t left = mask; left != 0;) {
    const uint32_t lane = first_lane(left);
    if (index[lane] >= table.size())
      return fault(core, op, FaultKind::kInvalidPc, lane, "branch index outside of its table");
    uint32_t same = 0;
    for (uint32_t i = 0; i < kWarpSize; ++i) same |= index[i] == index[lane] ? 1u << i : 0;
    same &= left;
    left &= ~same;
    if (left == 0 && same == running_group(warp).mask) {
      running_group(warp).pc = table[index[lane]];
      break;
    }
    Group part = running_group(warp);
    part.mask = same;
    part.pc = table[index[lane]];
    running_group(warp).mask &= ~same;
    warp.groups.push_back(part);
    // Guarded off: the rest goes on behind the branch.
    if (left == 0) running_group(warp).pc = op_index(warp, part.frame, op + 1);
  }
  if (--core.back_edges < 0) {
    core.event = Event::kBackEdges;
    return kLeave;
  }
  return reschedule(core);
}

const Op* exit(Warp& core, const Op* op, std::byte*, uint32_t mask) {
  WarpState& warp = *core.state;
  BlockState& block = *warp.block;
  const uint32_t frame = split_running(warp, mask, op + 1).frame;
  remove_group(warp, core.running);
  core.alive &= ~mask;
  block.exited += static_cast<uint32_t>(__builtin_popcount(mask));
  uint32_t parent = frame;
  while (parent != 0) {
    warp.frames[parent].lanes &= ~mask;
    parent = warp.frames[parent].parent;
  }
  leave_frame(warp, 0, mask);
  release_syncs(warp);
  open_complete_barriers(block);
  block.cluster->exited += static_cast<uint32_t>(__builtin_popcount(mask));
  open_complete_cluster_barrier(*block.cluster);
  return reschedule(core);
}

const Op* ret(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  WarpState& warp = *core.state;
  Group& group = split_running(warp, mask, op + 1);
  const uint32_t index = group.frame;
  if (index == 0) return exit(core, op, frame, mask);
  const Frame callee = warp.frames[index];
  const Frame& caller = warp.frames[callee.parent];
  const Op& call_op = caller.function->ops[callee.call_pc];
  const CallSite& site = caller.function->calls[static_cast<size_t>(call_op.imm)];
  for (const Transfer& result : site.results) {
    const ParameterSlot& slot = callee.function->results[result.index];
    copy_parameters(warp.pool.get() + caller.base + result.caller, frame + slot.offset,
                    std::min(slot.bytes, result.bytes), mask);
  }
  group.frame = callee.parent;
  group.pc = callee.call_pc + 1;
  leave_frame(warp, index, mask);
  return reschedule(core);
}

const Op* call(Warp& core, const Op* op, std::byte*, uint32_t mask) {
  WarpState& warp = *core.state;
  const CallSite& site = site_of(warp, op);
  split_running(warp, mask, op + 1);
  return enter(core, op, site, site.function, mask);
}

const Op* call_indirect(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  WarpState& warp = *core.state;
  const DecodedKernel& kernel = *warp.block->kernel;
  const auto* tokens = reinterpret_cast<const uint64_t*>(frame + op->o[0]);
  const CallSite& site = site_of(warp, op);
  // One target at a time: the first lane's; the others come back to this op, furthest behind and so next in
  // line.
  const uint32_t lane = first_lane(mask);
  const uint64_t token = tokens[lane];
  uint32_t same = 0;
  for (uint32_t i = 0; i < kWarpSize; ++i) same |= tokens[i] == token ? 1u << i : 0;
  same &= mask;
  const uint64_t distance = token - kernel.token_base;
  const uint64_t index = distance / kTokenStride;
  const int32_t function = distance % kTokenStride == 0 && index < kernel.function_of_token.size()
                               ? kernel.function_of_token[index]
                               : -1;
  if (function < 0)
    return fault(core, op, FaultKind::kInvalidPc, lane, "call through a pointer that is no function's");
  const DecodedFunction& callee = kernel.functions[static_cast<size_t>(function)];
  if (callee.parameters.size() != site.arguments.size() || callee.results.size() < site.results.size()) {
    return fault(core, op, FaultKind::kInvalidPc, lane, "call of a function with other parameters");
  }
  Group others = split_running(warp, mask, op + 1);
  others.mask = mask & ~same;
  others.pc = op_index(warp, others.frame, op);
  running_group(warp).mask = same;
  if (others.mask != 0) warp.groups.push_back(others);
  return enter(core, op, site, function, same);
}

const Op* call_device(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  const CallSite& site = site_of(*core.state, op);
  return site.builtin->run(core, op, site, frame, mask);
}

const Op* trap(Warp& core, const Op* op, std::byte*, uint32_t mask) {
  return fault(core, op, FaultKind::kTrap, first_lane(mask), "trap");
}

// A clock of one tick per nanosecond.
const Op* read_clock32(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  write32(frame, op->o[0], mask, monotonic_ns());
  return op + 1;
}
const Op* read_clock32_high(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  write32(frame, op->o[0], mask, monotonic_ns() >> 32);
  return op + 1;
}
const Op* read_clock64(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  write64(frame, op->o[0], mask, monotonic_ns());
  return op + 1;
}
const Op* read_globaltimer(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  write64(frame, op->o[0], mask, wall_ns());
  return op + 1;
}
const Op* read_globaltimer_low(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  write32(frame, op->o[0], mask, wall_ns());
  return op + 1;
}
const Op* read_globaltimer_high(Warp&, const Op* op, std::byte* frame, uint32_t mask) {
  write32(frame, op->o[0], mask, wall_ns() >> 32);
  return op + 1;
}
const Op* read_sm_id(Warp& core, const Op* op, std::byte* frame, uint32_t mask) {
  write32(frame, op->o[0], mask, core.sm_id);
  return op + 1;
}

// Sleeping threads wait for somebody: count it like an atomic, so that the others get their turn.
const Op* nanosleep(Warp& core, const Op* op, std::byte*, uint32_t) {
  ++core.strong_ops;
  return op + 1;
}

}  // namespace tessera::softgpu::exec::control
