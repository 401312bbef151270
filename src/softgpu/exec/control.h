// Handlers of control flow: branches, calls, barriers, exits. Compiled once; they move lanes, not values.
#pragma once

#include "softgpu/exec/op.h"

namespace tessera::softgpu::exec::control {

const Op* run_if(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* run_unless(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* jump(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* branch_if(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* branch_unless(Warp&, const Op*, std::byte* frame, uint32_t mask);
// o[0]: index (32 bits). imm: the table.
const Op* branch_table(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* exit(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* ret(Warp&, const Op*, std::byte* frame, uint32_t mask);
// imm: the call site. o[0] of call_indirect: the function's token.
const Op* call(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* call_indirect(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* call_device(Warp&, const Op*, std::byte* frame, uint32_t mask);
// o: address, size. aux: alignment.
const Op* stack_allocate(Warp&, const Op*, std::byte* frame, uint32_t mask);
// o: an opaque value.
const Op* stack_save(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* stack_restore(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* trap(Warp&, const Op*, std::byte* frame, uint32_t mask);

// o: barrier (32 bits), thread count (32 bits; constant 0: all of the block), then for bar.red the source and
// the result predicate or register.
enum BarrierKind : uint32_t { kBarrierSync, kBarrierArrive, kBarrierAnd, kBarrierOr, kBarrierPopc };
// aux: BarrierKind; aux2: 1 where the source is negated.
const Op* barrier(Warp&, const Op*, std::byte* frame, uint32_t mask);

const Op* read_clock32(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* read_clock32_high(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* read_clock64(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* read_globaltimer(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* read_globaltimer_low(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* read_globaltimer_high(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* read_sm_id(Warp&, const Op*, std::byte* frame, uint32_t mask);
const Op* nanosleep(Warp&, const Op*, std::byte* frame, uint32_t mask);

}  // namespace tessera::softgpu::exec::control
