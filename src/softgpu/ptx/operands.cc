// Operands of instructions.
#include <iterator>

#include "softgpu/ptx/body.h"
#include "softgpu/ptx/constant.h"
#include "softgpu/ptx/names.h"
#include "softgpu/ptx/parser.h"

namespace tessera::softgpu::ptx {

bool BodyParser::operands(Instruction* instruction) {
  if (cursor_.at(';')) return true;
  const bool branch = instruction->opcode == "bra", indexed = instruction->opcode == "brx";
  operands_.clear();
  do {
    Operand& next = operands_.emplace_back();
    const size_t index = operands_.size() - 1;
    const bool ok = branch                  ? label_operand(LabelKind::kCode, index, &next)
                    : indexed && index == 1 ? label_operand(LabelKind::kBranchTargets, index, &next)
                                            : operand(&next);
    if (!ok) return false;
    if (index == 0 && cursor_.accept('|')) {
      instruction->paired_destinations = 1;
      if (!operand(&operands_.emplace_back())) return false;
    }
  } while (cursor_.accept(','));
  instruction->operands.assign(std::make_move_iterator(operands_.begin()),
                               std::make_move_iterator(operands_.end()));
  return true;
}

bool BodyParser::label_operand(LabelKind wanted, size_t index, Operand* operand) {
  LabelUse use;
  use.line = cursor_.line();
  use.wanted = wanted;
  use.outer = static_cast<uint32_t>(function_.body.size());
  use.inner = static_cast<uint32_t>(index);
  if (!cursor_.expect_word(&use.name, "a label")) return false;
  operand->kind = OperandKind::kLabel;
  labels_.use(use);
  return true;
}

bool BodyParser::operand(Operand* operand) {
  if (cursor_.at_word()) return named(operand);
  if (cursor_.at('[')) return address(operand);
  if (cursor_.at('{')) return vector(operand);
  if (cursor_.at('!') && cursor_.peek().kind == TokenKind::kWord && cursor_.peek().text != "WARP_SZ")
    return negated_register(operand);
  return constant(operand);
}

bool BodyParser::constant(Operand* operand) {
  if (!at_constant(cursor_)) return cursor_.fail("expected an operand");
  Constant value;
  if (!parse_constant(cursor_, &value)) return false;
  operand->kind = OperandKind::kImmediate;
  operand->bits = value.bits;
  if (value.kind == Constant::Kind::kF32) operand->literal = Literal::kF32Bits;
  if (value.kind == Constant::Kind::kF64) operand->literal = Literal::kF64;
  return true;
}

bool BodyParser::negated_register(Operand* operand) {
  cursor_.next();
  if (!named(operand)) return false;
  if (operand->kind != OperandKind::kRegister) return cursor_.fail("expected a register after '!'");
  operand->negated = true;
  return true;
}

// "%v.x"; `lanes` is what the register has.
bool BodyParser::component(uint32_t lanes, Operand* operand) {
  if (!cursor_.at_directive()) return true;
  const int index = component_of_directive(cursor_.token().text);
  if (index < 0) return cursor_.fail("sub-word selectors are not supported");
  if (lanes == 1 || static_cast<uint32_t>(index) >= lanes)
    return cursor_.fail("this register has no such component");
  operand->component = static_cast<int8_t>(index);
  cursor_.next();
  return true;
}

bool BodyParser::named(Operand* operand) {
  const std::string_view name = cursor_.token().text;
  const uint32_t line = cursor_.line();
  cursor_.next();
  Binding binding;
  bool vector_register = false;
  if (name == "_") {
    operand->kind = OperandKind::kSink;
    return true;
  }
  if (scopes_.find(name, &binding)) {
    if (binding.is_register) {
      operand->kind = OperandKind::kRegister;
      operand->reg = static_cast<int32_t>(binding.index);
      return component(function_.registers[binding.index].lanes, operand);
    }
    operand->symbol = symbols_[binding.index];
  } else if (name == "WARP_SZ" || is_special_register(name, &vector_register)) {
    operand->kind = OperandKind::kSpecial;
    operand->symbol = name;
    if (!cursor_.at_directive()) return true;
    const int index = vector_register ? component_of_directive(cursor_.token().text) : -1;
    if (index < 0) return cursor_.fail("this register has no such component");
    operand->symbol += '.';
    operand->symbol += "xyzw"[index];
    cursor_.next();
    return true;
  } else if (unit_.find(name) != nullptr) {
    operand->symbol = name;
  } else {
    return cursor_.fail_at(line, "'%s' is not declared", shown(name).c_str());
  }
  operand->kind = OperandKind::kSymbol;
  return parse_offset(cursor_, &operand->offset);
}

bool BodyParser::vector(Operand* operand) {
  cursor_.next();
  operand->kind = OperandKind::kVector;
  if (++nesting_ > kMaxNesting) return cursor_.fail("operands nested too deeply");
  if (!cursor_.at('}')) {
    do {
      if (!this->operand(&operand->elements.emplace_back())) return false;
    } while (cursor_.accept(','));
  }
  --nesting_;
  return cursor_.expect('}');
}

// [reg+4], [symbol-8], [16]; textures and tensors add coordinates: [tex, {x, y}].
bool BodyParser::address(Operand* operand) {
  cursor_.next();
  if (cursor_.at_word() && cursor_.token().text != "WARP_SZ") {
    const uint32_t line = cursor_.line();
    if (!named(operand)) return false;
    if (operand->kind != OperandKind::kRegister && operand->kind != OperandKind::kSymbol)
      return cursor_.fail_at(line, "an address begins with a register or a symbol");
    if (operand->kind == OperandKind::kRegister && !parse_offset(cursor_, &operand->offset)) return false;
  } else {
    if (!constant(operand)) return false;
    if (operand->literal != Literal::kInteger) return cursor_.fail("an address is an integer");
    operand->offset = static_cast<int64_t>(operand->bits);
    operand->bits = 0;
  }
  operand->kind = OperandKind::kAddress;
  if (++nesting_ > kMaxNesting) return cursor_.fail("operands nested too deeply");
  while (cursor_.accept(','))
    if (!this->operand(&operand->elements.emplace_back())) return false;
  --nesting_;
  return cursor_.expect(']');
}

}  // namespace tessera::softgpu::ptx
