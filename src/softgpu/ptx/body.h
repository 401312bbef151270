// The body of one function: declarations, labels and instructions in nested scopes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "softgpu/ptx/ast.h"
#include "softgpu/ptx/cursor.h"
#include "softgpu/ptx/labels.h"
#include "softgpu/ptx/scopes.h"
#include "softgpu/ptx/unit.h"
#include "softgpu/ptx/variables.h"

namespace tessera::softgpu::ptx {

// Registers one function may declare, ranges counted in full.
constexpr size_t kMaxRegisters = 1u << 20;

class BodyParser {
 public:
  // `function` has its parameters; `unit` has everything declared before, the function included.
  BodyParser(Cursor& cursor, Unit& unit, Function& function)
      : cursor_(cursor), unit_(unit), function_(function) {}
  // Parses "{ … }" into the function.
  bool parse();

 private:
  // body.cc
  bool enter();
  bool leave();
  bool statement();
  bool instruction_or_label();
  bool labelled(std::string_view name, uint32_t line);
  bool guard(Instruction* instruction);
  bool instruction(std::string_view opcode, Instruction instruction);

  // declarations.cc
  bool bind_parameters();
  bool declaration();
  bool registers(const Qualifiers& qualifiers);
  bool add_registers(std::string_view name, uint32_t line, Type type, uint32_t lanes, bool range,
                     uint64_t count);
  bool variables(const Qualifiers& qualifiers);
  bool bind_symbol(std::string_view name, uint32_t line, std::string symbol);
  std::string unique_name(std::string_view name);
  bool branch_targets(std::string_view label, uint32_t line);
  bool call_targets(std::string_view label, uint32_t line);
  bool call_prototype(std::string_view label, uint32_t line);

  // operands.cc
  bool operands(Instruction* instruction);
  bool operand(Operand* operand);
  bool label_operand(LabelKind wanted, size_t index, Operand* operand);
  bool named(Operand* operand);
  bool constant(Operand* operand);
  bool negated_register(Operand* operand);
  bool component(uint32_t lanes, Operand* operand);
  bool vector(Operand* operand);
  bool address(Operand* operand);

  // call.cc
  bool call(Instruction* instruction);
  bool call_list(std::vector<Operand>* list);
  bool call_target(Instruction* instruction);

  Cursor& cursor_;
  Unit& unit_;
  Function& function_;
  Scopes scopes_;
  Labels labels_;
  std::vector<std::string> symbols_;  // what Binding::index of a name that is no register points at
  NameMap<uint32_t> times_used_;      // of variable names, to make the next one unique
  size_t nesting_ = 0;                // of operands
  // Reused for each instruction, so that its vectors are allocated once, at their final size.
  std::vector<std::string_view> modifiers_;
  std::vector<Operand> operands_;
};

}  // namespace tessera::softgpu::ptx
