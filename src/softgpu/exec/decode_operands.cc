// Operands: registers, literals, special registers and addresses of symbols as values of the builder.
#include <bit>
#include <cctype>

#include "softgpu/exec/control.h"
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {
namespace {

Width width_of(char letter) {
  switch (std::tolower(static_cast<unsigned char>(letter))) {
    case 'h':
      return Width::k16;
    case 'q':
    case 'd':
      return Width::k64;
    case 'p':
      return Width::kPredicate;
    default:
      return Width::k32;
  }
}

struct SpecialName {
  const char* name;
  Special special;
  uint8_t bytes;
};
constexpr SpecialName kSpecials[] = {
    {"%tid.x", Special::kTidX, 4},
    {"%tid.y", Special::kTidY, 4},
    {"%tid.z", Special::kTidZ, 4},
    {"%tid.w", Special::kZero, 4},
    {"%ntid.x", Special::kNtidX, 4},
    {"%ntid.y", Special::kNtidY, 4},
    {"%ntid.z", Special::kNtidZ, 4},
    {"%ntid.w", Special::kOne, 4},
    {"%ctaid.x", Special::kCtaidX, 4},
    {"%ctaid.y", Special::kCtaidY, 4},
    {"%ctaid.z", Special::kCtaidZ, 4},
    {"%ctaid.w", Special::kZero, 4},
    {"%nctaid.x", Special::kNctaidX, 4},
    {"%nctaid.y", Special::kNctaidY, 4},
    {"%nctaid.z", Special::kNctaidZ, 4},
    {"%nctaid.w", Special::kOne, 4},
    {"%laneid", Special::kLaneId, 4},
    {"%warpid", Special::kWarpId, 4},
    {"%nwarpid", Special::kNwarpId, 4},
    {"%nsmid", Special::kNsmid, 4},
    {"%gridid", Special::kGridId, 8},
    {"%lanemask_eq", Special::kLanemaskEq, 4},
    {"%lanemask_le", Special::kLanemaskLe, 4},
    {"%lanemask_lt", Special::kLanemaskLt, 4},
    {"%lanemask_ge", Special::kLanemaskGe, 4},
    {"%lanemask_gt", Special::kLanemaskGt, 4},
    {"%dynamic_smem_size", Special::kDynamicSmem, 4},
    {"%total_smem_size", Special::kTotalSmem, 4},
    // What cooperative groups know of the grid; the other environment registers belong to no driver program.
    {"%envreg1", Special::kGridWorkspaceHigh, 4},
    {"%envreg2", Special::kGridWorkspaceLow, 4},
    {"%aggr_smem_size", Special::kAggregateSmem, 4},
    {"%reserved_smem_offset_begin", Special::kReservedBegin, 4},
    {"%reserved_smem_offset_end", Special::kReservedEnd, 4},
    {"%reserved_smem_offset_cap", Special::kReservedEnd, 4},
    {"%reserved_smem_offset_0", Special::kReservedBegin, 4},
    {"%reserved_smem_offset_1", Special::kReservedMiddle, 4},
    {"%clusterid.x", Special::kClusteridX, 4},
    {"%clusterid.y", Special::kClusteridY, 4},
    {"%clusterid.z", Special::kClusteridZ, 4},
    {"%clusterid.w", Special::kZero, 4},
    {"%nclusterid.x", Special::kNclusteridX, 4},
    {"%nclusterid.y", Special::kNclusteridY, 4},
    {"%nclusterid.z", Special::kNclusteridZ, 4},
    {"%nclusterid.w", Special::kOne, 4},
    {"%cluster_ctaid.x", Special::kClusterCtaidX, 4},
    {"%cluster_ctaid.y", Special::kClusterCtaidY, 4},
    {"%cluster_ctaid.z", Special::kClusterCtaidZ, 4},
    {"%cluster_ctaid.w", Special::kZero, 4},
    {"%cluster_nctaid.x", Special::kClusterNctaidX, 4},
    {"%cluster_nctaid.y", Special::kClusterNctaidY, 4},
    {"%cluster_nctaid.z", Special::kClusterNctaidZ, 4},
    {"%cluster_nctaid.w", Special::kOne, 4},
    {"%cluster_ctarank", Special::kClusterRank, 4},
    {"%cluster_nctarank", Special::kClusterBlocks, 4},
};

struct VolatileSpecial {
  const char* name;
  Handler handler;
  Width width;
};
constexpr VolatileSpecial kVolatileSpecials[] = {
    {"%clock", control::read_clock32, Width::k32},
    {"%clock_hi", control::read_clock32_high, Width::k32},
    {"%clock64", control::read_clock64, Width::k64},
    {"%globaltimer", control::read_globaltimer, Width::k64},
    {"%globaltimer_lo", control::read_globaltimer_low, Width::k32},
    {"%globaltimer_hi", control::read_globaltimer_high, Width::k32},
    {"%smid", control::read_sm_id, Width::k32},
};

}  // namespace

ValueId FunctionDecoder::register_value(int32_t reg, int component) const {
  const ValueId value = registers_[static_cast<size_t>(reg)] + (component > 0 ? component : 0);
  const size_t index = static_cast<size_t>(value);
  return index < aliases_.size() && aliases_[index] != kNoValue ? aliases_[index] : value;
}

// Remembers that a register which is written once, here, always equals `value`, so that nothing needs to run.
bool FunctionDecoder::alias(const Instruction& in, const Operand& to, ValueId value) {
  if (in.guard >= 0 || to.kind != ptx::OperandKind::kRegister || to.component >= 0) return false;
  if (definitions_[static_cast<size_t>(to.reg)] != 1) return false;
  const Value& constant = builder_.value(value);
  if (constant.kind != Value::Kind::kConstant && constant.kind != Value::Kind::kEnvironment) return false;
  const size_t index = static_cast<size_t>(registers_[static_cast<size_t>(to.reg)]);
  if (builder_.value(static_cast<ValueId>(index)).width != constant.width) return false;
  if (aliases_.size() <= index) aliases_.resize(index + 1, kNoValue);
  aliases_[index] = value;
  return true;
}

ValueId FunctionDecoder::carry() {
  if (carry_ == kNoValue) carry_ = builder_.new_register(Width::kPredicate);
  return carry_;
}

Result<uint64_t> FunctionDecoder::literal(const Instruction& in, const Operand& operand, char letter) const {
  const char kind = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  const bool is_f32 = operand.literal == ptx::Literal::kF32Bits;
  const bool is_f64 = operand.literal == ptx::Literal::kF64;
  if (kind == 'f') {
    if (is_f32) return operand.bits & 0xffffffff;
    const double value = is_f64 ? std::bit_cast<double>(operand.bits)
                                : static_cast<double>(static_cast<int64_t>(operand.bits));
    return uint64_t{std::bit_cast<uint32_t>(static_cast<float>(value))};
  }
  if (kind == 'd') {
    if (is_f64) return operand.bits;
    const double value = is_f32
                             ? static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(operand.bits)))
                             : static_cast<double>(static_cast<int64_t>(operand.bits));
    return std::bit_cast<uint64_t>(value);
  }
  if (is_f64 && kind != 'q') return malformed(in, "an f64 constant in a narrower operand");
  return operand.bits;
}

Result<ValueId> FunctionDecoder::register_source(const Instruction& in, const Operand& operand, Width width) {
  const ValueId value = register_value(operand.reg, operand.component);
  const Width actual = builder_.value(value).width;
  if (operand.negated && actual == Width::kPredicate && width == actual) {
    const ValueId inverted = builder_.new_register(Width::kPredicate);
    emit("not.pred", {inverted, value});
    return inverted;
  }
  if (actual == width) return value;
  // An operand may be wider than the instruction's type: its low part counts.
  const ValueId part = builder_.new_register(width);
  if (actual == Width::k64 && width == Width::k32) {
    emit("part.32of64.0", {part, value});
  } else if (actual == Width::k64 && width == Width::k16) {
    emit("part.16of64.0", {part, value});
  } else if (actual == Width::k32 && width == Width::k16) {
    emit("part.16of32.0", {part, value});
  } else {
    return malformed(in, "a register of the wrong size");
  }
  return part;
}

Result<ValueId> FunctionDecoder::special(const Instruction& in, const std::string& name, Width width) {
  const auto fit = [&](ValueId value) -> ValueId {
    const Width actual = builder_.value(value).width;
    if (actual == width) return value;
    const ValueId converted = builder_.new_register(width);
    const char* how = width == Width::k64   ? (actual == Width::k32 ? "widen.u32.64" : "widen.u16.64")
                      : width == Width::k32 ? (actual == Width::k64 ? "part.32of64.0" : "widen.u16.32")
                                            : (actual == Width::k64 ? "part.16of64.0" : "part.16of32.0");
    emit(how, {converted, value});
    return converted;
  };
  if (name == "WARP_SZ") return builder_.constant(width, kWarpSize);
  if (name == "%is_explicit_cluster") {
    Environment environment;
    environment.special = Special::kExplicitCluster;
    const ValueId asked = builder_.environment(environment);
    if (width != Width::kPredicate) return fit(asked);
    const ValueId p = builder_.new_register(Width::kPredicate);
    emit("setp.ne.b32", {p, asked, builder_.constant(Width::k32, 0)});
    return p;
  }
  if (width == Width::kPredicate) return malformed(in, "a special register is no predicate");
  for (const SpecialName& known : kSpecials) {
    if (name != known.name) continue;
    Environment environment;
    environment.special = known.special;
    environment.width = known.bytes;
    return fit(builder_.environment(environment));
  }
  for (const VolatileSpecial& known : kVolatileSpecials) {
    if (name != known.name) continue;
    const ValueId value = builder_.new_register(known.width);
    builder_.emit(known.handler, known.width == Width::k64 ? "Q" : "W", {value});
    return fit(value);
  }
  // Performance counters and the debugger's registers read as zero; so do the other envregs.
  if (name.starts_with("%pm") || name.starts_with("%envreg")) return builder_.constant(width, 0);
  return unsupported(in, name.c_str());
}

Result<ValueId> FunctionDecoder::symbol_address(const Instruction& in, const std::string& symbol,
                                                int64_t offset, Width width) {
  if (width != Width::k32 && width != Width::k64) return malformed(in, "an address does not fit");
  const auto named = names_.find(symbol);
  uint64_t base = 0;
  if (named != names_.end()) {
    const Name& name = named->second;
    if (name.kind == Name::Kind::kRegion) return unsupported(in, "the address of a function's parameter");
    if (name.kind == Name::Kind::kLocal && !function_.entry) {
      const ValueId value = builder_.new_register(Width::k64);
      emit("local.address", {value}).op.imm = static_cast<int64_t>(name.offset) + offset;
      if (width == Width::k64) return value;
      const ValueId low = builder_.new_register(Width::k32);
      emit("part.32of64.0", {low, value});
      return low;
    }
    base = name.offset;
  } else if (const auto shared = reachable_.shared.module_variables.find(symbol);
             shared != reachable_.shared.module_variables.end()) {
    base = shared->second;
  } else if (const uint64_t address = image_.address(symbol); address != 0) {
    base = address;
  } else if (const ptx::Function* function = image_.function(symbol); function != nullptr) {
    base = image_.token(*function);
  } else {
    return malformed(in, ("undefined symbol " + symbol).c_str());
  }
  return builder_.constant(width, base + static_cast<uint64_t>(offset));
}

Result<ValueId> FunctionDecoder::source(const Instruction& in, const Operand& operand, char letter) {
  const Width width = width_of(letter);
  switch (operand.kind) {
    case ptx::OperandKind::kRegister:
      return register_source(in, operand, width);
    case ptx::OperandKind::kImmediate: {
      TESSERA_ASSIGN_OR_RETURN(const uint64_t bits, literal(in, operand, letter));
      const bool value = width == Width::kPredicate && operand.negated ? bits == 0 : bits != 0;
      return builder_.constant(width, width == Width::kPredicate ? static_cast<uint64_t>(value) : bits);
    }
    case ptx::OperandKind::kSpecial:
      return special(in, operand.symbol, width);
    case ptx::OperandKind::kSymbol:
      return symbol_address(in, operand.symbol, operand.offset, width);
    default:
      return malformed(in, "an operand of the wrong kind");
  }
}

Result<ValueId> FunctionDecoder::destination(const Instruction& in, const Operand& operand, char letter) {
  const Width width = width_of(letter);
  if (operand.kind == ptx::OperandKind::kSink) return builder_.new_register(width);
  if (operand.kind != ptx::OperandKind::kRegister) return malformed(in, "the destination is no register");
  const ValueId value =
      registers_[static_cast<size_t>(operand.reg)] + (operand.component > 0 ? operand.component : 0);
  if (builder_.value(value).width != width) return malformed(in, "a destination register of the wrong size");
  return value;
}

}  // namespace tessera::softgpu::exec
