// call, in all its forms:
//   call.uni (result), function, (arguments);
//   call (result), %pointer, (arguments), prototype;
#include "softgpu/ptx/body.h"

namespace tessera::softgpu::ptx {

bool BodyParser::call(Instruction* instruction) {
  if (cursor_.at('(') && (!call_list(&instruction->call_results) || !cursor_.expect(','))) return false;
  if (!call_target(instruction)) return false;
  while (cursor_.accept(',')) {
    if (cursor_.at('(')) {
      if (!call_list(&instruction->call_arguments)) return false;
      continue;
    }
    LabelUse use;
    use.line = cursor_.line();
    use.wanted = LabelKind::kPrototype;
    use.outer = static_cast<uint32_t>(function_.body.size());
    if (!cursor_.expect_word(&use.name, "a prototype")) return false;
    labels_.use(use);
  }
  return true;
}

bool BodyParser::call_list(std::vector<Operand>* list) {
  if (!list->empty()) return cursor_.fail("two argument lists");
  cursor_.next();
  if (cursor_.accept(')')) return true;
  do {
    if (!operand(&list->emplace_back())) return false;
  } while (cursor_.accept(','));
  return cursor_.expect(')');
}

bool BodyParser::call_target(Instruction* instruction) {
  const uint32_t line = cursor_.line();
  if (!cursor_.at_word()) return cursor_.fail("expected a function");
  const std::string_view name = cursor_.token().text;
  Operand& target = instruction->operands.emplace_back();
  if (!named(&target)) return false;
  const bool is_function =
      target.kind == OperandKind::kSymbol && unit_.find_function(target.symbol) != nullptr;
  if (target.kind == OperandKind::kRegister || (is_function && target.offset == 0)) return true;
  return cursor_.fail_at(line, "'%s' is not a function", shown(name).c_str());
}

}  // namespace tessera::softgpu::ptx
