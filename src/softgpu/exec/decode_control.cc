// Branches, calls, barriers and what ends a thread.
#include "softgpu/exec/control.h"
#include "softgpu/exec/device_calls.h"
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {

Status FunctionDecoder::branch(const Instruction& in) {
  if (in.operands.size() != 1 || in.operands[0].kind != ptx::OperandKind::kLabel)
    return malformed(in, "expected a label");
  ProtoOp& proto = builder_.emit(control::jump, "", {});
  proto.flow = in.guard >= 0 ? Flow::kBranch : Flow::kJump;
  proto.target = in.operands[0].target;
  return {};
}

Status FunctionDecoder::branch_table(const Instruction& in) {
  if (in.operands.size() != 2 || in.operands[1].kind != ptx::OperandKind::kLabel)
    return malformed(in, "expected an index and a list");
  TESSERA_ASSIGN_OR_RETURN(const ValueId index, source(in, in.operands[0], 'w'));
  ProtoOp& proto = builder_.emit(control::branch_table, "w", {index});
  proto.flow = Flow::kTable;
  proto.target = in.operands[1].target;
  proto.op.imm = in.operands[1].target;
  return {};
}

// Arguments and results are .param variables, or registers and constants that get one for the occasion.
Result<std::vector<Transfer>> FunctionDecoder::transfers(const Instruction& in,
                                                         const std::vector<Operand>& operands, bool results) {
  std::vector<Transfer> list;
  PendingCall& pending = calls_.back();
  std::vector<ValueId>& regions = results ? pending.results : pending.arguments;
  for (const Operand& operand : operands) {
    Transfer transfer;
    transfer.index = static_cast<uint32_t>(list.size());
    if (operand.kind == ptx::OperandKind::kSymbol) {
      const auto named = names_.find(operand.symbol);
      if (named == names_.end() || named->second.kind != Name::Kind::kRegion)
        return malformed(in, "an argument is no parameter variable");
      regions.push_back(named->second.region);
      transfer.bytes = named->second.bytes;
    } else if (operand.kind == ptx::OperandKind::kSink) {
      regions.push_back(builder_.new_region(8));
      transfer.bytes = 0;
    } else {
      const bool reg = operand.kind == ptx::OperandKind::kRegister;
      const Width width =
          reg ? builder_.value(registers_[static_cast<size_t>(operand.reg)]).width : Width::k32;
      if (width == Width::kPredicate) return unsupported(in, "a predicate as an argument");
      transfer.bytes = slot_bytes(width) / kWarpSize;
      const ValueId region = builder_.new_region(transfer.bytes);
      regions.push_back(region);
      const std::string bits = std::to_string(transfer.bytes * 8);
      const char letter = width == Width::k16 ? 'h' : width == Width::k32 ? 'w' : 'q';
      if (!results) {
        TESSERA_ASSIGN_OR_RETURN(const ValueId value, source(in, operand, letter));
        const char signature[] = {'M', letter, '\0'};
        builder_.emit(find_handler("param.st.u" + bits + "." + bits)->handler, signature, {region, value});
      }
    }
    list.push_back(transfer);
  }
  return list;
}

Status FunctionDecoder::call(const Instruction& in) {
  if (in.operands.empty()) return malformed(in, "expected a function");
  const size_t index = calls_.size();
  calls_.emplace_back();
  TESSERA_ASSIGN_OR_RETURN(std::vector<Transfer> arguments, transfers(in, in.call_arguments, false));
  TESSERA_ASSIGN_OR_RETURN(std::vector<Transfer> results, transfers(in, in.call_results, true));
  calls_[index].site.arguments = std::move(arguments);
  calls_[index].site.results = std::move(results);
  const Operand& target = in.operands[0];
  if (calls_[index].arguments.size() + calls_[index].results.size() > 64)
    return unsupported(in, "more than 64 arguments");
  CallSite& site = calls_[index].site;
  if (target.kind == ptx::OperandKind::kSymbol) {
    const ptx::Function* callee = image_.function(target.symbol);
    if (callee == nullptr) return malformed(in, "undefined function");
    if (callee->defined) {
      site.function = reachable_.index.at(callee);
      if (site.arguments.size() != callee->parameters.size() || site.results.size() != callee->results.size())
        return malformed(in, "wrong number of arguments");
      builder_.emit(control::call, "", {}).op.imm = static_cast<int64_t>(index);
    } else {
      site.builtin = find_device_builtin(callee->name);  // what is neither was refused before
      if (site.arguments.size() != site.builtin->arguments) return malformed(in, "wrong number of arguments");
      builder_.emit(control::call_device, "", {}).op.imm = static_cast<int64_t>(index);
    }
  } else {
    TESSERA_ASSIGN_OR_RETURN(const ValueId token, source(in, target, 'q'));
    builder_.emit(control::call_indirect, "q", {token}).op.imm = static_cast<int64_t>(index);
  }
  // The call reads its arguments and writes its results: keep their regions alive up to here.
  for (const ValueId region : calls_[index].arguments)
    builder_.emit(find_handler("nothing")->handler, "m", {region});
  for (size_t i = 0; i < in.call_results.size(); ++i) {
    const Operand& operand = in.call_results[i];
    builder_.emit(find_handler("nothing")->handler, "M", {calls_[index].results[i]});
    if (operand.kind != ptx::OperandKind::kRegister) continue;
    const Width width = builder_.value(registers_[static_cast<size_t>(operand.reg)]).width;
    const std::string bits = std::to_string(slot_bytes(width) / kWarpSize * 8);
    const char letter = width == Width::k16 ? 'H' : width == Width::k32 ? 'W' : 'Q';
    TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, operand, letter));
    const char signature[] = {letter, 'm', '\0'};
    builder_.emit(find_handler("param.ld.u" + bits + "." + bits)->handler, signature,
                  {d, calls_[index].results[i]});
  }
  return {};
}

Status FunctionDecoder::leave(const Instruction& in) {
  const bool ends_thread = in.opcode == "exit" || function_.entry;
  ProtoOp& proto = builder_.emit(ends_thread ? control::exit : control::ret, "", {});
  if (in.guard < 0) proto.flow = Flow::kStop;
  return {};
}

// alloca.u64 d, size {, alignment}; stacksave.u64 d; stackrestore.u64 a.
Status FunctionDecoder::stack(const Instruction& in) {
  constexpr uint64_t kMostAlignment = 256;
  const bool allocates = in.opcode == "alloca";
  const size_t least = allocates ? 2 : 1, most = allocates ? 3 : 1;
  if (type_of(in) != "u64" || in.modifiers.size() != 1) return unsupported(in);
  if (in.operands.size() < least || in.operands.size() > most)
    return malformed(in, "wrong number of operands");
  if (in.opcode == "stackrestore") {
    TESSERA_ASSIGN_OR_RETURN(const ValueId saved, source(in, in.operands[0], 'q'));
    builder_.emit(control::stack_restore, "q", {saved});
    return {};
  }
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'q'));
  if (!allocates) {
    builder_.emit(control::stack_save, "Q", {d});
    return {};
  }
  TESSERA_ASSIGN_OR_RETURN(const ValueId size, source(in, in.operands[1], 'q'));
  const uint64_t alignment = in.operands.size() == 3 ? in.operands[2].bits : 8;
  if (alignment == 0 || alignment > kMostAlignment || (alignment & (alignment - 1)) != 0)
    return unsupported(in, "this alignment");
  builder_.emit(control::stack_allocate, "Qq", {d, size}).op.aux = static_cast<uint32_t>(alignment);
  return {};
}

Status FunctionDecoder::trap(const Instruction&) {
  builder_.emit(control::trap, "", {});
  return {};
}

Status FunctionDecoder::barrier(const Instruction& in) {
  if (has_modifier(in, "warp")) return emit_by_name(in, "bar.warp.sync");
  if (has_modifier(in, "cluster")) return cluster_barrier(in);
  const bool reduces = has_modifier(in, "red");
  const bool arrives = has_modifier(in, "arrive");
  const size_t first = reduces ? 1 : 0;
  const size_t last = in.operands.size() - (reduces ? 1 : 0);  // the reduction's source
  if (in.operands.size() < (reduces ? 3u : arrives ? 2u : 1u) || last - first > 2 || last <= first)
    return malformed(in, "wrong number of operands");
  TESSERA_ASSIGN_OR_RETURN(const ValueId id, source(in, in.operands[first], 'w'));
  ValueId count = builder_.constant(Width::k32, 0);
  if (last - first == 2) {
    TESSERA_ASSIGN_OR_RETURN(count, source(in, in.operands[first + 1], 'w'));
  }
  if (!reduces) {
    if (!arrives && !has_modifier(in, "sync")) return unsupported(in);
    builder_.emit(control::barrier, "ww", {id, count}).op.aux =
        arrives ? control::kBarrierArrive : control::kBarrierSync;
    return {};
  }
  const bool popc = has_modifier(in, "popc");
  TESSERA_ASSIGN_OR_RETURN(const ValueId source_predicate, source(in, in.operands.back(), 'p'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], popc ? 'w' : 'p'));
  // The result is written when the barrier opens, long after the source was read.
  builder_.emit(control::barrier, popc ? "!wwpW" : "!wwpP", {id, count, source_predicate, d}).op.aux =
      popc                      ? control::kBarrierPopc
      : has_modifier(in, "and") ? control::kBarrierAnd
                                : control::kBarrierOr;
  return {};
}

Status FunctionDecoder::nanosleep(const Instruction& in) {
  if (in.operands.size() != 1) return malformed(in, "expected one operand");
  builder_.emit(control::nanosleep, "", {});
  return {};
}

}  // namespace tessera::softgpu::exec
