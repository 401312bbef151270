#include "softgpu/ptx/body.h"

#include "softgpu/ptx/ignored_directives.h"
#include "softgpu/ptx/parser.h"

namespace tessera::softgpu::ptx {

bool BodyParser::parse() {
  if (!enter() || !bind_parameters() || !cursor_.expect('{')) return false;
  while (scopes_.depth() != 0)
    if (!statement()) return false;
  return true;
}

bool BodyParser::enter() {
  if (scopes_.depth() == kMaxNesting) return cursor_.fail("scopes nested too deeply");
  scopes_.enter();
  labels_.enter();
  return true;
}

bool BodyParser::leave() {
  scopes_.leave();
  return labels_.leave(cursor_, function_);
}

bool BodyParser::statement() {
  switch (cursor_.token().kind) {
    case TokenKind::kWord:
      return instruction_or_label();
    case TokenKind::kDirective:
      return is_ignored_directive(cursor_.token().text) ? skip_ignored_directive(cursor_) : declaration();
    case TokenKind::kEnd:
      return cursor_.fail("the body of '%s' is never closed", shown(function_.name).c_str());
    default:
      break;
  }
  if (cursor_.accept(';')) return true;
  if (cursor_.accept('{')) return enter();
  if (cursor_.accept('}')) return leave();
  if (!cursor_.at('@')) return cursor_.fail("expected an instruction");
  if (at_debug_line(cursor_)) {
    cursor_.skip_line();
    return true;
  }
  Instruction guarded;
  std::string_view opcode;
  return guard(&guarded) && cursor_.expect_word(&opcode, "an instruction") &&
         instruction(opcode, std::move(guarded));
}

bool BodyParser::instruction_or_label() {
  const std::string_view name = cursor_.token().text;
  const uint32_t line = cursor_.line();
  cursor_.next();
  if (cursor_.accept(':')) return labelled(name, line);
  Instruction plain;
  plain.line = line;
  return instruction(name, std::move(plain));
}

bool BodyParser::labelled(std::string_view name, uint32_t line) {
  if (cursor_.at_directive(".branchtargets")) return branch_targets(name, line);
  if (cursor_.at_directive(".calltargets")) return call_targets(name, line);
  if (cursor_.at_directive(".callprototype")) return call_prototype(name, line);
  return labels_.declare(cursor_, line, name, LabelKind::kCode, function_.body.size());
}

bool BodyParser::guard(Instruction* instruction) {
  cursor_.next();
  instruction->guard_negated = cursor_.accept('!');
  instruction->line = cursor_.line();
  Operand predicate;
  if (!cursor_.at_word()) return cursor_.fail("expected a predicate");
  if (!operand(&predicate)) return false;
  if (predicate.kind != OperandKind::kRegister ||
      function_.registers[static_cast<size_t>(predicate.reg)].type != Type::kPred)
    return cursor_.fail_at(instruction->line, "a guard must be a predicate register");
  instruction->guard = predicate.reg;
  return true;
}

bool BodyParser::instruction(std::string_view opcode, Instruction instruction) {
  instruction.opcode = opcode;
  modifiers_.clear();
  for (; cursor_.at_directive(); cursor_.next()) modifiers_.push_back(cursor_.token().text.substr(1));
  instruction.modifiers.assign(modifiers_.begin(), modifiers_.end());
  if (!(opcode == "call" ? call(&instruction) : operands(&instruction))) return false;
  function_.body.push_back(std::move(instruction));
  return cursor_.expect(';');
}

}  // namespace tessera::softgpu::ptx
