// Declarations inside a function body.
#include "softgpu/ptx/body.h"
#include "softgpu/ptx/constant.h"
#include "softgpu/ptx/parser.h"

namespace tessera::softgpu::ptx {
namespace {

constexpr size_t kMaxRangePrefix = 64;  // characters; each register of a range carries its own name

}  // namespace

bool BodyParser::bind_parameters() {
  for (const std::vector<Variable>* list : {&function_.results, &function_.parameters}) {
    for (const Variable& parameter : *list) {
      if (parameter.name == "_") continue;
      // The name is bound as it stands in function_, which keeps it alive and unmoved while the body is
      // parsed.
      const bool ok = parameter.space == Space::kReg
                          ? add_registers(parameter.name, function_.line, parameter.type, 1, false, 1)
                          : bind_symbol(parameter.name, function_.line, parameter.name);
      if (!ok) return false;
      times_used_[parameter.name] = 1;
    }
  }
  return true;
}

bool BodyParser::declaration() {
  Qualifiers qualifiers;
  if (!parse_qualifiers(cursor_, &qualifiers)) return false;
  switch (qualifiers.space) {
    case Space::kReg:
      return registers(qualifiers);
    case Space::kLocal:
    case Space::kShared:
    case Space::kParam:
    case Space::kGlobal:
    case Space::kConst:
      return variables(qualifiers);
    default:
      return cursor_.fail("expected a state space");
  }
}

bool BodyParser::registers(const Qualifiers& qualifiers) {
  do {
    const uint32_t line = cursor_.line();
    std::string_view name;
    if (!cursor_.expect_word(&name, "the name of a register")) return false;
    const bool range = cursor_.accept('<');
    uint64_t count = 1;
    if (range &&
        (!parse_range_count(cursor_, kMaxRegisters, "a number of registers", &count) || !cursor_.expect('>')))
      return false;
    if (!add_registers(name, line, qualifiers.type, qualifiers.lanes, range, count)) return false;
  } while (cursor_.accept(','));
  return cursor_.expect(';');
}

bool BodyParser::add_registers(std::string_view name, uint32_t line, Type type, uint32_t lanes, bool range,
                               uint64_t count) {
  if (function_.registers.size() + count > kMaxRegisters)
    return cursor_.fail_at(line, "'%s' declares more than %zu registers", shown(function_.name).c_str(),
                           kMaxRegisters);
  if (range && name.size() > kMaxRangePrefix)
    return cursor_.fail_at(line, "too long a name for a range of registers");
  if (!cursor_.claim(count * (sizeof(Register) + (range ? 0 : name.size())))) return false;
  const Binding binding{true, static_cast<uint32_t>(function_.registers.size())};
  if (!(range ? scopes_.declare_range(name, binding, static_cast<uint32_t>(count))
              : scopes_.declare(name, binding)))
    return cursor_.fail_at(line, "'%s' is declared twice in one scope", shown(name).c_str());
  std::string text(name);
  for (uint64_t i = 0; i < count; ++i)
    function_.registers.push_back({range ? text + std::to_string(i) : text, type, lanes});
  return true;
}

bool BodyParser::variables(const Qualifiers& qualifiers) {
  const bool module_wide = qualifiers.space == Space::kGlobal || qualifiers.space == Space::kConst;
  do {
    const uint32_t line = cursor_.line();
    const std::string_view name = cursor_.token().text;
    Variable variable;
    if (!parse_declarator(cursor_, qualifiers, module_wide, &variable)) return false;
    variable.name = unique_name(name);
    if (!bind_symbol(name, line, variable.name)) return false;
    if (!module_wide) {
      function_.variables.push_back(std::move(variable));
    } else if (!unit_.declare(cursor_, line, std::move(variable))) {
      return false;
    }
  } while (cursor_.accept(','));
  return cursor_.expect(';');
}

bool BodyParser::bind_symbol(std::string_view name, uint32_t line, std::string symbol) {
  if (!scopes_.declare(name, {false, static_cast<uint32_t>(symbols_.size())}))
    return cursor_.fail_at(line, "'%s' is declared twice in one scope", shown(name).c_str());
  symbols_.push_back(std::move(symbol));
  return true;
}

// Operands name variables by name alone, so a variable that shadows another, or a symbol of the module, gets
// a suffix. '@' is in no PTX name.
std::string BodyParser::unique_name(std::string_view name) {
  uint32_t& used =
      times_used_.try_emplace(std::string(name), unit_.find(name) != nullptr ? 1 : 0).first->second;
  std::string unique(name);
  do {
    if (used != 0) unique = std::string(name) + "@" + std::to_string(used);
    ++used;
  } while (used > 1 && unit_.find(unique) != nullptr);
  return unique;
}

bool BodyParser::branch_targets(std::string_view label, uint32_t line) {
  std::vector<std::vector<int32_t>>& lists = function_.branch_targets;
  if (!labels_.declare(cursor_, line, label, LabelKind::kBranchTargets, lists.size())) return false;
  std::vector<int32_t>& list = lists.emplace_back();
  do {
    cursor_.next();
    const uint32_t at = cursor_.line();
    std::string_view target;
    if (!cursor_.expect_word(&target, "a label")) return false;
    labels_.use({target, at, LabelKind::kCode, true, static_cast<uint32_t>(lists.size() - 1),
                 static_cast<uint32_t>(list.size())});
    list.push_back(-1);
  } while (cursor_.at(','));
  return cursor_.expect(';');
}

// All targets have one shape; an indirect call needs no more than that, so the list becomes a prototype.
bool BodyParser::call_targets(std::string_view label, uint32_t line) {
  if (!labels_.declare(cursor_, line, label, LabelKind::kPrototype, function_.prototypes.size()))
    return false;
  const Function* first = nullptr;
  do {
    cursor_.next();
    const uint32_t at = cursor_.line();
    std::string_view target;
    if (!cursor_.expect_word(&target, "a function")) return false;
    const Function* function = unit_.find_function(target);
    if (function == nullptr) return cursor_.fail_at(at, "undeclared function '%s'", shown(target).c_str());
    if (first == nullptr) first = function;
  } while (cursor_.at(','));
  function_.prototypes.push_back({std::string(label), first->results, first->parameters});
  return cursor_.expect(';');
}

bool BodyParser::call_prototype(std::string_view label, uint32_t line) {
  cursor_.next();
  if (!labels_.declare(cursor_, line, label, LabelKind::kPrototype, function_.prototypes.size()))
    return false;
  Prototype& prototype = function_.prototypes.emplace_back();
  prototype.name = label;
  std::string_view placeholder;
  if (cursor_.at('(') && !parse_parameters(cursor_, &prototype.results)) return false;
  if (!cursor_.expect_word(&placeholder, "_")) return false;
  if (cursor_.at('(') && !parse_parameters(cursor_, &prototype.parameters)) return false;
  while (cursor_.at_directive()) {
    const std::string_view text = cursor_.token().text;
    uint64_t registers = 0;
    cursor_.next();
    if (text == ".noreturn") continue;
    if (text != ".abi_preserve" && text != ".abi_preserve_control")
      return cursor_.fail("%s has no place here", shown(text).c_str());
    if (!parse_count(cursor_, kMaxRegisters, "a number of registers", &registers)) return false;
  }
  return cursor_.expect(';');
}

}  // namespace tessera::softgpu::ptx
