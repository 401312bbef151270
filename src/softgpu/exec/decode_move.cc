// mov: copies, packing and unpacking of vectors, addresses, special registers.
#include "softgpu/exec/function_decoder.h"

namespace tessera::softgpu::exec {
namespace {

char letter_of(const std::string& type) {
  if (type == "pred") return 'p';
  if (type == "f32") return 'f';
  if (type == "f64") return 'd';
  const uint32_t bits = type_bits(type);
  return bits == 16 ? 'h' : bits == 32 ? 'w' : bits == 64 ? 'q' : '\0';
}

}  // namespace

Status FunctionDecoder::move(const Instruction& in) {
  if (in.operands.size() != 2) return malformed(in, "expected two operands");
  if (type_of(in) == "b128") return move_wide(in);
  const Operand& to = in.operands[0];
  const Operand& from = in.operands[1];
  if (from.kind == ptx::OperandKind::kVector) return pack(in, to, from.elements);
  if (to.kind == ptx::OperandKind::kVector) return unpack(in, to.elements, from);
  const char letter = letter_of(type_of(in));
  if (letter == '\0' || in.modifiers.size() != 1) return unsupported(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId value, source(in, from, letter));
  if (alias(in, to, value)) return {};
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, to, letter));
  switch (builder_.value(d).width) {
    case Width::kPredicate:
      emit("mov.pred", {d, value});
      break;
    case Width::k16:
      emit("mov.b16", {d, value});
      break;
    case Width::k32:
      emit("mov.b32", {d, value});
      break;
    case Width::k64:
      emit("mov.b64", {d, value});
      break;
  }
  return {};
}

Result<ptx::Operand> FunctionDecoder::halves(const Instruction& in, const Operand& operand) const {
  if (operand.kind == ptx::OperandKind::kVector && operand.elements.size() == 2) return operand;
  if (operand.kind != ptx::OperandKind::kRegister || operand.component >= 0 ||
      function_.registers[static_cast<size_t>(operand.reg)].type != ptx::Type::kB128)
    return malformed(in, "expected a register of 128 bits");
  Operand both;
  both.kind = ptx::OperandKind::kVector;
  both.elements.assign(2, operand);
  for (int8_t k = 0; k < 2; ++k) both.elements[static_cast<size_t>(k)].component = k;
  return both;
}

Result<ptx::Instruction> FunctionDecoder::in_halves(const Instruction& in, size_t data) const {
  Instruction pair = in;
  pair.modifiers.back() = "v2";
  pair.modifiers.emplace_back("b64");
  TESSERA_ASSIGN_OR_RETURN(pair.operands[data], halves(in, in.operands[data]));
  return pair;
}

Status FunctionDecoder::move_wide(const Instruction& in) {
  TESSERA_ASSIGN_OR_RETURN(const Operand to, halves(in, in.operands[0]));
  TESSERA_ASSIGN_OR_RETURN(const Operand from, halves(in, in.operands[1]));
  for (size_t k = 0; k < 2; ++k) {
    if (to.elements[k].kind == ptx::OperandKind::kSink) continue;
    TESSERA_ASSIGN_OR_RETURN(const ValueId value, source(in, from.elements[k], 'q'));
    TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, to.elements[k], 'q'));
    emit("mov.b64", {d, value});
  }
  return {};
}

Status FunctionDecoder::pack(const Instruction& in, const Operand& to, const std::vector<Operand>& parts) {
  const uint32_t bits = type_bits(type_of(in));
  const uint32_t part = parts.empty() ? 0 : bits / static_cast<uint32_t>(parts.size());
  const char letter = part == 32 ? 'w' : 'h';
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, to, bits == 64 ? 'q' : bits == 32 ? 'w' : 'h'));
  std::vector<ValueId> values;
  for (const Operand& element : parts) {
    TESSERA_ASSIGN_OR_RETURN(const ValueId value, source(in, element, letter));
    values.push_back(value);
  }
  if (parts.size() == 2 && part == 32) {
    emit("pack.2x32", {d, values[0], values[1]});
  } else if (parts.size() == 2 && part == 16) {
    emit("pack.2x16", {d, values[0], values[1]});
  } else if (parts.size() == 2 && part == 8) {
    emit("pack.2x8", {d, values[0], values[1]});
  } else if (parts.size() == 4 && part == 16) {
    emit("pack.4x16", {d, values[0], values[1], values[2], values[3]});
  } else if (parts.size() == 4 && part == 8) {
    emit("pack.4x8", {d, values[0], values[1], values[2], values[3]});
  } else {
    return unsupported(in, "this vector shape");
  }
  return {};
}

Status FunctionDecoder::unpack(const Instruction& in, const std::vector<Operand>& parts,
                               const Operand& from) {
  const uint32_t bits = type_bits(type_of(in));
  const uint32_t part = parts.empty() ? 0 : bits / static_cast<uint32_t>(parts.size());
  if (bits > 64 || part < 8 || part * parts.size() != bits || (part == 8 && bits == 64))
    return unsupported(in, "this vector shape");
  TESSERA_ASSIGN_OR_RETURN(const ValueId value, source(in, from, bits == 64 ? 'q' : bits == 32 ? 'w' : 'h'));
  if (part == bits) return unsupported(in, "this vector shape");
  // The source may be one of the destinations: all but the last part go through temporaries.
  std::vector<std::pair<ValueId, ValueId>> copies;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].kind == ptx::OperandKind::kSink) continue;
    TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, parts[i], part == 32 ? 'w' : 'h'));
    const bool overlaps = d == value && i + 1 < parts.size();
    const ValueId direct = overlaps ? builder_.new_register(part == 32 ? Width::k32 : Width::k16) : d;
    emit("part." + std::to_string(part) + "of" + std::to_string(bits) + "." + std::to_string(i),
         {direct, value});
    if (overlaps) copies.emplace_back(d, direct);
  }
  for (const auto& [d, temporary] : copies) emit("mov.b16", {d, temporary});
  return {};
}

}  // namespace tessera::softgpu::exec
