// mbarrier and barrier.cluster: barriers in memory and of clusters; mapa and getctarank.
#include "softgpu/exec/cluster.h"
#include "softgpu/exec/flags.h"
#include "softgpu/exec/function_decoder.h"

namespace tessera::softgpu::exec {
namespace {

ptx::Space space_of(const ptx::Instruction& in) {
  for (const std::string& modifier : in.modifiers) {
    if (modifier.starts_with("shared")) return ptx::Space::kShared;
  }
  return ptx::Space::kGeneric;
}

}  // namespace

// An address in a 64-bit register, the offset added.
Result<ValueId> FunctionDecoder::wide_address(const Instruction& in, const Operand& operand,
                                              ptx::Space space) {
  TESSERA_ASSIGN_OR_RETURN(const Address at, address(in, operand, space));
  ValueId value = at.base;
  if (!at.wide) {
    value = builder_.new_register(Width::k64);
    emit("widen.u32.64", {value, at.base});
  }
  if (at.offset == 0) return value;
  const ValueId sum = builder_.new_register(Width::k64);
  emit("add.b64", {sum, value, builder_.constant(Width::k64, static_cast<uint64_t>(at.offset))});
  return sum;
}

uint32_t FunctionDecoder::wide_kind(ptx::Space space) {
  return space == ptx::Space::kShared    ? kSharedAddress64
         : space == ptx::Space::kGeneric ? kGenericAddress
                                         : kGlobalAddress;
}

Status FunctionDecoder::mbarrier(const Instruction& in) {
  const std::string& what = in.modifiers.empty() ? type_of(in) : in.modifiers[0];
  if (type_of(in) != "b64") return unsupported(in);
  if (what == "test_wait" || what == "try_wait") return mbarrier_wait(in);
  if (what == "arrive" || what == "arrive_drop") return mbarrier_arrive(in);
  if (what == "pending_count") return emit_by_name(in, "mbarrier.pending_count.b64");
  if (what != "init" && what != "inval" && what != "expect_tx" && what != "complete_tx")
    return unsupported(in);
  if (in.operands.size() != (what == "inval" ? 1u : 2u)) return malformed(in, "wrong number of operands");
  const ptx::Space space = space_of(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId at, wide_address(in, in.operands[0], space));
  if (what == "inval") {
    emit("mbarrier.inval", {at}).op.aux = wide_kind(space);
    return {};
  }
  TESSERA_ASSIGN_OR_RETURN(const ValueId count, source(in, in.operands[1], 'w'));
  emit("mbarrier." + what, {at, count}).op.aux = wide_kind(space);
  return {};
}

// mbarrier.arrive[.expect_tx|.noComplete] [state,] [barrier] [, count or bytes].
Status FunctionDecoder::mbarrier_arrive(const Instruction& in) {
  uint32_t flags = 0;
  if (in.modifiers[0] == "arrive_drop") flags |= kMbarrierDrop;
  if (has_modifier(in, "noComplete")) flags |= kMbarrierNoComplete;
  if (has_modifier(in, "expect_tx")) flags |= kMbarrierExpect;
  const bool stateless = !in.operands.empty() && in.operands[0].kind == ptx::OperandKind::kAddress;
  const size_t first = stateless ? 0 : 1;
  const bool needs_count = (flags & (kMbarrierExpect | kMbarrierNoComplete)) != 0;
  if (in.operands.size() < first + (needs_count ? 2 : 1) || in.operands.size() > first + 2)
    return malformed(in, "wrong number of operands");
  const ptx::Space space = space_of(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId at, wide_address(in, in.operands[first], space));
  ValueId count = builder_.constant(Width::k32, 1);
  if (in.operands.size() > first + 1) {
    TESSERA_ASSIGN_OR_RETURN(count, source(in, in.operands[first + 1], 'w'));
  }
  ValueId state = builder_.new_register(Width::k64);
  if (stateless || in.operands[0].kind == ptx::OperandKind::kSink) {
    flags |= kMbarrierNoState;
  } else {
    TESSERA_ASSIGN_OR_RETURN(state, destination(in, in.operands[0], 'q'));
  }
  emit("mbarrier.arrive", {at, count, state}).op.aux = wide_kind(space) | flags;
  return {};
}

// Both forms may answer at once: how long try_wait waits is up to the implementation, and its hint of a time
// does not matter.
Status FunctionDecoder::mbarrier_wait(const Instruction& in) {
  const bool parity = has_modifier(in, "parity");
  if (in.operands.size() < 3 || in.operands.size() > 4) return malformed(in, "wrong number of operands");
  const ptx::Space space = space_of(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId p, destination(in, in.operands[0], 'p'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId at, wide_address(in, in.operands[1], space));
  TESSERA_ASSIGN_OR_RETURN(const ValueId phase, source(in, in.operands[2], parity ? 'w' : 'q'));
  emit(parity ? "mbarrier.wait.parity" : "mbarrier.wait.state", {p, at, phase}).op.aux = wide_kind(space);
  return {};
}

Status FunctionDecoder::cluster_barrier(const Instruction& in) {
  if (!in.operands.empty()) return malformed(in, "too many operands");
  const bool arrives = has_modifier(in, "arrive");
  if (arrives == has_modifier(in, "wait")) return unsupported(in);
  emit("fence", {});
  builder_.emit(arrives ? control::cluster_arrive : control::cluster_wait, "", {});
  return {};
}

// mapa d, a, rank: `a` may be a variable.
Status FunctionDecoder::map_shared(const Instruction& in) {
  const bool shared = has_modifier(in, "shared::cluster");
  const bool wide = type_of(in) == "u64";
  if (in.operands.size() != 3 || (!wide && !(shared && type_of(in) == "u32"))) return unsupported(in);
  const char letter = wide ? 'q' : 'w';
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], letter));
  TESSERA_ASSIGN_OR_RETURN(const ValueId a, source(in, in.operands[1], letter));
  TESSERA_ASSIGN_OR_RETURN(const ValueId rank, source(in, in.operands[2], 'w'));
  emit(std::string("mapa.") + (shared ? "shared::cluster." : "") + type_of(in), {d, a, rank});
  return {};
}

}  // namespace tessera::softgpu::exec
