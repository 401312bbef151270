// cp.async and its bulk forms, st.async and red.async. They are done at once, so that waiting for them is
// nothing.
#include <algorithm>

#include "softgpu/exec/flags.h"
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {
namespace {

// The spaces that a bulk copy names, destination first: ".shared::cluster.global".
std::vector<ptx::Space> spaces_of(const ptx::Instruction& in) {
  std::vector<ptx::Space> spaces;
  for (const std::string& modifier : in.modifiers) {
    if (modifier == "shared::cta" || modifier == "shared::cluster") spaces.push_back(ptx::Space::kShared);
    if (modifier == "global") spaces.push_back(ptx::Space::kGlobal);
  }
  return spaces;
}

bool completes_at_barrier(const ptx::Instruction& in) {
  return has_modifier(in, "mbarrier::complete_tx::bytes");
}

}  // namespace

Status FunctionDecoder::copy_async(const Instruction& in) {
  if (in.opcode == "cp" && (in.modifiers.empty() || in.modifiers[0] != "async") &&
      !has_modifier(in, "reduce"))
    return unsupported(in);
  if (has_modifier(in, "tensor")) return unsupported(in, "tensor maps");
  if (has_modifier(in, "commit_group") || has_modifier(in, "wait_group") || has_modifier(in, "wait_all") ||
      has_modifier(in, "prefetch"))
    return ignored(in);
  if (has_modifier(in, "reduce")) return reduce_bulk(in);
  if (has_modifier(in, "bulk")) return copy_bulk(in);
  if (has_modifier(in, "mbarrier")) return copies_arrive(in);
  return copy_few(in);
}

// cp.async.{ca,cg}.shared.global [to], [from], size {, source size | !ignore} {, cache policy}.
Status FunctionDecoder::copy_few(const Instruction& in) {
  if (in.operands.size() < 3 || in.operands[2].kind != ptx::OperandKind::kImmediate)
    return malformed(in, "expected two addresses and a size");
  const Entry* entry = find_handler("cp.async." + std::to_string(in.operands[2].bits));
  if (entry == nullptr) return malformed(in, "the size is neither 4, 8 nor 16");
  TESSERA_ASSIGN_OR_RETURN(const Address to, address(in, in.operands[0], ptx::Space::kShared));
  TESSERA_ASSIGN_OR_RETURN(const ValueId from, wide_address(in, in.operands[1], ptx::Space::kGlobal));
  std::vector<ValueId> values = {to.base, from};
  std::string signature = to.wide ? "qq" : "wq";
  uint32_t flags = to.kind | uint32_t{kGlobalAddress} << kSourceShift;
  // A cache policy comes last and is 64 bits wide; before it may be how much to read.
  const bool policy = has_modifier(in, "L2::cache_hint");
  const size_t extra = in.operands.size() - 3;
  if (extra > (policy ? 2u : 1u)) return malformed(in, "too many operands");
  if (extra == (policy ? 2u : 1u)) {
    const Operand& limit = in.operands[3];
    const bool ignore = limit.kind == ptx::OperandKind::kRegister &&
                        builder_.value(register_value(limit.reg, limit.component)).width == Width::kPredicate;
    TESSERA_ASSIGN_OR_RETURN(const ValueId value, source(in, limit, ignore ? 'p' : 'w'));
    values.push_back(value);
    signature += ignore ? 'p' : 'w';
    flags |= ignore ? kIgnoreSource : kLimitSource;
  }
  ProtoOp& proto = builder_.emit(entry->handler, signature.c_str(), values);
  proto.op.imm = to.offset;
  proto.op.aux = flags;
  return {};
}

// cp.async.mbarrier.arrive: the copies before it are done. Without .noinc its arrival is one that it
// announces itself, which changes nothing.
Status FunctionDecoder::copies_arrive(const Instruction& in) {
  if (in.operands.size() != 1 || !has_modifier(in, "arrive")) return malformed(in, "expected a barrier");
  if (!has_modifier(in, "noinc")) return ignored(in);
  const bool shared = has_modifier(in, "shared") || has_modifier(in, "shared::cta");
  const ptx::Space space = shared ? ptx::Space::kShared : ptx::Space::kGeneric;
  TESSERA_ASSIGN_OR_RETURN(const ValueId at, wide_address(in, in.operands[0], space));
  emit("mbarrier.arrive", {at, builder_.constant(Width::k32, 1), builder_.new_register(Width::k64)}).op.aux =
      wide_kind(space) | kMbarrierNoState;
  return {};
}

// The destination, the source and the size, and where the copy completes at a barrier, that: operands of
// every bulk copy. `next` is the first operand behind them.
Status FunctionDecoder::bulk_operands(const Instruction& in, BulkCopy* copy) {
  const std::vector<ptx::Space> spaces = spaces_of(in);
  const bool barrier = completes_at_barrier(in);
  if (spaces.size() != 2 || in.operands.size() < (barrier ? 4u : 3u))
    return malformed(in, "too few operands");
  TESSERA_ASSIGN_OR_RETURN(copy->to, wide_address(in, in.operands[0], spaces[0]));
  TESSERA_ASSIGN_OR_RETURN(copy->from, wide_address(in, in.operands[1], spaces[1]));
  TESSERA_ASSIGN_OR_RETURN(copy->bytes, source(in, in.operands[2], 'w'));
  copy->next = 3;
  if (barrier) {
    TESSERA_ASSIGN_OR_RETURN(copy->barrier, wide_address(in, in.operands[3], ptx::Space::kShared));
    copy->next = 4;
  }
  copy->kinds = wide_kind(spaces[0]) | wide_kind(spaces[1]) << kSourceShift;
  return {};
}

Status FunctionDecoder::copy_bulk(const Instruction& in) {
  BulkCopy copy;
  TESSERA_RETURN_IF_ERROR(bulk_operands(in, &copy));
  const bool multicast = has_modifier(in, "multicast::cluster");
  const bool masked = has_modifier(in, "cp_mask");
  if (!multicast && !masked) {
    emit("cp.async.bulk", {copy.to, copy.from, copy.bytes}).op.aux = copy.kinds;
    complete_at(copy, kNoValue);
    return {};
  }
  // A multicast's blocks come before the cache policy, a mask of bytes behind it.
  if (masked && has_modifier(in, "L2::cache_hint")) ++copy.next;
  if (copy.next >= in.operands.size()) return malformed(in, "expected a mask");
  TESSERA_ASSIGN_OR_RETURN(const ValueId mask, source(in, in.operands[copy.next], 'h'));
  emit(multicast ? "cp.async.bulk.multicast" : "cp.async.bulk.masked", {copy.to, copy.from, copy.bytes, mask})
      .op.aux = copy.kinds;
  complete_at(copy, multicast ? mask : kNoValue);
  return {};
}

void FunctionDecoder::complete_at(const BulkCopy& copy, ValueId blocks) {
  if (copy.barrier == kNoValue) return;
  if (blocks == kNoValue) {
    emit("mbarrier.complete_tx", {copy.barrier, copy.bytes}).op.aux = kSharedAddress64;
  } else {
    emit("mbarrier.complete_tx.multicast", {copy.barrier, copy.bytes, blocks});
  }
}

// cp.reduce.async.bulk.….operation{.noftz}.type
Status FunctionDecoder::reduce_bulk(const Instruction& in) {
  BulkCopy copy;
  TESSERA_RETURN_IF_ERROR(bulk_operands(in, &copy));
  for (const std::string& operation : in.modifiers) {
    for (const std::string& type : {type_of(in), "b" + std::to_string(type_bits(type_of(in)))}) {
      const std::string name = "cp.reduce." + operation + "." + type;
      if (find_handler(name) == nullptr) continue;
      emit(name, {copy.to, copy.from, copy.bytes}).op.aux = copy.kinds;
      complete_at(copy, kNoValue);
      return {};
    }
  }
  return unsupported(in);
}

// st.async and red.async: a store or an atomic operation whose bytes a barrier counts.
Status FunctionDecoder::store_async(const Instruction& in) {
  if (in.operands.size() != 3 || !completes_at_barrier(in)) return unsupported(in);
  Instruction plain = in;
  plain.operands.pop_back();
  std::erase_if(plain.modifiers, [](const std::string& modifier) {
    return modifier == "async" || modifier == "mbarrier::complete_tx::bytes";
  });
  if (!has_modifier(plain, "shared::cluster"))
    plain.modifiers.insert(plain.modifiers.begin(), "shared::cluster");
  TESSERA_RETURN_IF_ERROR(in.opcode == "st" ? store(plain) : atomic(plain));
  const uint32_t elements = has_modifier(in, "v4") ? 4 : has_modifier(in, "v2") ? 2 : 1;
  TESSERA_ASSIGN_OR_RETURN(const ValueId barrier, wide_address(in, in.operands[2], ptx::Space::kShared));
  const ValueId bytes = builder_.constant(Width::k32, type_bits(type_of(in)) / 8 * elements);
  emit("mbarrier.complete_tx", {barrier, bytes}).op.aux = kSharedAddress64;
  return {};
}

}  // namespace tessera::softgpu::exec
