// PTX text from anywhere: either a clear error, or a module whose every index is in range. exec/ relies on
// the second.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "softgpu/ptx/parser.h"

namespace tessera::softgpu::ptx {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const Function& function, const std::vector<Operand>& operands) {
  for (const Operand& operand : operands) {
    require(operand.reg >= -1 && operand.reg < static_cast<int64_t>(function.registers.size()));
    require(operand.kind != OperandKind::kRegister || operand.reg >= 0);
    require(operand.kind != OperandKind::kSymbol || !operand.symbol.empty());
    if (operand.component >= 0)
      require(static_cast<uint32_t>(operand.component) <
              function.registers[static_cast<size_t>(operand.reg)].lanes);
    check(function, operand.elements);
  }
}

void check(const Function& function, const Instruction& instruction) {
  const bool indexed = instruction.opcode == "brx";
  require(!instruction.opcode.empty());
  require(instruction.guard >= -1 && instruction.guard < static_cast<int64_t>(function.registers.size()));
  require(instruction.prototype < static_cast<int64_t>(function.prototypes.size()));
  for (const Operand& operand : instruction.operands) {
    if (operand.kind != OperandKind::kLabel) continue;
    require(operand.target >= 0);
    require(static_cast<size_t>(operand.target) <=
            (indexed ? function.branch_targets.size() - 1 : function.body.size()));
  }
  check(function, instruction.operands);
  check(function, instruction.call_results);
  check(function, instruction.call_arguments);
}

void check(const Module& module) {
  for (const Variable& variable : module.variables) {
    require(variable.initial.size() <= variable.size);
    for (const Relocation& relocation : variable.relocations)
      require(relocation.offset + relocation.size <= variable.initial.size());
  }
  for (const Function& function : module.functions) {
    require(function.defined || function.body.empty());
    for (const Instruction& instruction : function.body) check(function, instruction);
    for (const std::vector<int32_t>& list : function.branch_targets)
      for (const int32_t target : list)
        require(target >= 0 && static_cast<size_t>(target) <= function.body.size());
  }
}

}  // namespace
}  // namespace tessera::softgpu::ptx

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tessera::softgpu;
  const auto module = ptx::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (module.ok()) ptx::check(*module);
  return 0;
}
