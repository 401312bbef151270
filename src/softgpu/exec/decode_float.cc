// Arithmetic whose modifiers matter: rounding, .ftz, .sat, NaN rules; f16 and bf16; lop3.
#include "softgpu/exec/flags.h"
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {
namespace {

struct FlagName {
  const char* name;
  uint32_t flags;
};
constexpr FlagName kFlagNames[] = {
    {"rn", kNearest << kRoundShift},
    {"rz", kTowardZero << kRoundShift},
    {"rm", kDown << kRoundShift},
    {"rp", kUp << kRoundShift},
    {"ftz", kFlush},
    {"sat", kSaturate},
    {"NaN", kKeepNan},
    {"xorsign", kXorSign},
    {"abs", kXorSign},
    {"relu", kRelu},
    {"approx", 0},
    {"full", 0},
};

struct OperationName {
  const char* opcode;
  FloatOperation operation;
  size_t sources;
  const char* half;  // handler family of half.cc
};
constexpr OperationName kOperations[] = {
    {"add", kFloatAdd, 2, "add"},    {"sub", kFloatSub, 2, "sub"},     {"mul", kFloatMul, 2, "mul"},
    {"fma", kFloatFma, 3, "fma"},    {"mad", kFloatFma, 3, nullptr},   {"div", kFloatDiv, 2, nullptr},
    {"rcp", kFloatRcp, 1, nullptr},  {"sqrt", kFloatSqrt, 1, nullptr}, {"min", kFloatMin, 2, "minmax"},
    {"max", kFloatMax, 2, "minmax"}, {"neg", kFloatNeg, 1, "unary"},   {"abs", kFloatAbs, 1, "unary"},
    {"ex2", kFloatEx2, 1, "unary"},  {"tanh", kFloatTanh, 1, "unary"},
};

const OperationName* operation_of(const std::string& opcode) {
  for (const OperationName& known : kOperations) {
    if (opcode == known.opcode) return &known;
  }
  return nullptr;
}

// All modifiers but the type, as flags; false where one is unknown.
bool flags_of(const ptx::Instruction& in, uint32_t* flags) {
  for (size_t i = 0; i + 1 < in.modifiers.size(); ++i) {
    bool known = false;
    for (const FlagName& name : kFlagNames) {
      if (in.modifiers[i] != name.name) continue;
      *flags |= name.flags;
      known = true;
    }
    if (!known) return false;
  }
  return true;
}

}  // namespace

Status FunctionDecoder::floating(const Instruction& in) {
  const std::string& type = type_of(in);
  if (type == "f16" || type == "f16x2" || type == "bf16" || type == "bf16x2") return half(in, type);
  if (type != "f32" && type != "f64") return generic(in);
  std::string name = in.opcode;
  for (const std::string& modifier : in.modifiers) {
    if (modifier != "rn") name += "." + modifier;
  }
  if (find_handler(name) != nullptr) return emit_by_name(in, name);
  const OperationName* operation = operation_of(in.opcode);
  uint32_t flags = operation->operation;
  if (has_modifier(in, "approx") || has_modifier(in, "relu") || !flags_of(in, &flags)) return unsupported(in);
  if (in.operands.size() != operation->sources + 1) return unsupported(in, "this number of operands");
  const char letter = type == "f32" ? 'f' : 'd';
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], letter));
  ValueId sources[3];
  for (size_t i = 0; i < 3; ++i) {
    TESSERA_ASSIGN_OR_RETURN(sources[i], source(in, in.operands[i < operation->sources ? i + 1 : 1], letter));
  }
  emit("float.general." + type, {d, sources[0], sources[1], sources[2]}).op.aux = flags;
  return {};
}

Status FunctionDecoder::half(const Instruction& in, const std::string& type) {
  const OperationName* operation = operation_of(in.opcode);
  uint32_t flags = operation->operation;
  if (operation->half == nullptr || !flags_of(in, &flags) || (flags & kRoundMask) != 0)
    return unsupported(in);
  if ((flags & kRelu) != 0 && operation->operation != kFloatFma) return unsupported(in);
  if (in.operands.size() != operation->sources + 1) return unsupported(in, "this number of operands");
  ProtoOp* proto = nullptr;
  TESSERA_RETURN_IF_ERROR(emit_by_name(in, std::string("half.") + operation->half + "." + type, &proto));
  proto->op.aux = flags;
  return {};
}

Status FunctionDecoder::lop3(const Instruction& in) {
  const bool to_predicate = in.paired_destinations != 0;
  if (type_of(in) != "b32" || in.operands.size() != (to_predicate ? 7u : 5u)) return unsupported(in);
  const size_t first = to_predicate ? 2 : 1;
  const Operand& table = in.operands[first + 3];
  if (table.kind != ptx::OperandKind::kImmediate) return malformed(in, "the table is no constant");
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'w'));
  ValueId sources[3];
  for (size_t i = 0; i < 3; ++i) {
    TESSERA_ASSIGN_OR_RETURN(sources[i], source(in, in.operands[first + i], 'w'));
  }
  constexpr struct {
    uint8_t table;
    const char* name;
  } kCommon[] = {{0x96, "lop3.xor3"}, {0xea, "lop3.andor"},  {0x80, "lop3.and3"},
                 {0xfe, "lop3.or3"},  {0xca, "lop3.choose"}, {0xe8, "lop3.majority"}};
  const char* name = "lop3.b32";
  for (const auto& common : kCommon) {
    if ((table.bits & 0xff) == common.table) name = common.name;
  }
  emit(name, {d, sources[0], sources[1], sources[2]}).op.imm = static_cast<int64_t>(table.bits & 0xff);
  if (!to_predicate) return {};
  const char* combine = has_modifier(in, "and") ? "and.pred" : has_modifier(in, "or") ? "or.pred" : nullptr;
  if (combine == nullptr) return unsupported(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId p, destination(in, in.operands[1], 'p'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId q, source(in, in.operands[6], 'p'));
  const ValueId nonzero = builder_.new_register(Width::kPredicate);
  emit("setp.ne.b32", {nonzero, d, builder_.constant(Width::k32, 0)});
  emit(combine, {p, nonzero, q});
  return {};
}

}  // namespace tessera::softgpu::exec
