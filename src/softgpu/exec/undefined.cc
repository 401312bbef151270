#include "softgpu/exec/undefined.h"

#include <set>

#include "softgpu/exec/device_calls.h"

namespace tessera::softgpu::exec {
namespace {

// Every declared name without a definition.
std::set<std::string> declared_only(const ptx::Module& module) {
  std::set<std::string> defined, declared;
  for (const ptx::Function& function : module.functions) {
    const bool here = function.defined || find_device_builtin(function.name) != nullptr;
    (here ? defined : declared).insert(function.name);
  }
  for (const ptx::Variable& variable : module.variables) {
    // Extern shared memory is sized by the launch.
    const bool here = variable.linkage != ptx::Linkage::kExtern || variable.space == ptx::Space::kShared;
    (here ? defined : declared).insert(variable.name);
  }
  for (const auto& [name, aliasee] : module.aliases) defined.insert(name);
  for (const std::string& name : defined) declared.erase(name);
  return declared;
}

void find_in(const std::vector<ptx::Operand>& operands, const std::set<std::string>& missing,
             std::set<std::string>* found) {
  for (const ptx::Operand& operand : operands) {
    if (missing.contains(operand.symbol)) found->insert(operand.symbol);
    find_in(operand.elements, missing, found);
  }
}

}  // namespace

std::vector<std::string> undefined_symbols(const ptx::Module& module) {
  const std::set<std::string> missing = declared_only(module);
  std::set<std::string> found;
  if (missing.empty()) return {};
  for (const ptx::Function& function : module.functions) {
    for (const ptx::Instruction& instruction : function.body) find_in(instruction.operands, missing, &found);
  }
  for (const ptx::Variable& variable : module.variables) {
    for (const ptx::Relocation& relocation : variable.relocations) {
      if (missing.contains(relocation.symbol)) found.insert(relocation.symbol);
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace tessera::softgpu::exec
