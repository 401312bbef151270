// Relocatable device code arrives as several translation units in one text. Exported names mean the same
// thing in all of them; local names ("$str") do not, and get a suffix where they collide.
#include <set>

#include "softgpu/ptx/unit.h"

namespace tessera::softgpu::ptx {
namespace {

using Renames = NameMap<std::string>;

bool is_local_definition(const Variable& variable) { return variable.linkage == Linkage::kLocal; }
// Kernels are looked up by name from outside, whatever their linkage says.
bool is_local_definition(const Function& function) {
  return function.linkage == Linkage::kLocal && function.defined && !function.entry;
}

void rename(const Renames& renames, std::string* name) {
  const auto found = renames.find(*name);
  if (found != renames.end()) *name = found->second;
}

void rename(const Renames& renames, std::vector<Operand>* operands) {
  for (Operand& operand : *operands) {
    if (!operand.symbol.empty() && operand.kind != OperandKind::kSpecial) rename(renames, &operand.symbol);
    rename(renames, &operand.elements);
  }
}

// Inside a function its own names hide those of the unit.
void rename_in(const Renames& all, Function* function) {
  const Renames* visible = &all;
  Renames fewer;
  for (const std::vector<Variable>* own : {&function->results, &function->parameters, &function->variables}) {
    for (const Variable& variable : *own) {
      if (!visible->contains(variable.name)) continue;
      if (fewer.empty()) fewer = all;
      fewer.erase(variable.name);
      visible = &fewer;
    }
  }
  for (Instruction& instruction : function->body) {
    rename(*visible, &instruction.operands);
    rename(*visible, &instruction.call_results);
    rename(*visible, &instruction.call_arguments);
  }
}

void rename_in(const Renames& renames, Module* module) {
  for (Variable& variable : module->variables) {
    rename(renames, &variable.name);
    for (Relocation& relocation : variable.relocations) rename(renames, &relocation.symbol);
  }
  for (Function& function : module->functions) {
    rename_in(renames, &function);
    rename(renames, &function.name);
  }
  for (auto& [name, aliasee] : module->aliases) {
    rename(renames, &name);
    rename(renames, &aliasee);
  }
}

template <typename T>
void collect_exported(const std::vector<T>& items, std::set<std::string>* taken) {
  for (const T& item : items)
    if (!is_local_definition(item)) taken->insert(item.name);
}

template <typename T>
void collect_renames(const std::vector<T>& items, size_t unit, std::set<std::string>* taken,
                     Renames* renames) {
  for (const T& item : items) {
    if (!is_local_definition(item) || taken->insert(item.name).second) continue;
    // '@' is in no PTX name, so the new name is unique.
    (*renames)[item.name] = item.name + "@unit" + std::to_string(unit);
  }
}

void take_header(Module* all, const Module& module) {
  if (std::pair(module.version_major, module.version_minor) >
      std::pair(all->version_major, all->version_minor)) {
    all->version_major = module.version_major;
    all->version_minor = module.version_minor;
  }
  if (all->target.empty()) all->target = module.target;
}

std::string place_of(const Variable&) { return "ptx: "; }
std::string place_of(const Function& function) { return "ptx:" + std::to_string(function.line) + ": "; }

template <typename T>
Status add_all(Unit* all, std::vector<T>&& items) {
  for (T& item : items) {
    const std::string who = place_of(item) + "'" + shown(item.name) + "' ";
    if (const char* error = all->add(std::move(item))) return Status(Code::kInvalidData, who + error);
  }
  return {};
}

}  // namespace

Result<Module> combine(std::vector<Unit> units) {
  if (units.size() == 1) return std::move(units.front().module);
  std::set<std::string> taken;
  for (const Unit& unit : units) {
    collect_exported(unit.module.variables, &taken);
    collect_exported(unit.module.functions, &taken);
  }
  Unit all;
  for (size_t i = 0; i < units.size(); ++i) {
    Module& module = units[i].module;
    Renames renames;
    collect_renames(module.variables, i, &taken, &renames);
    collect_renames(module.functions, i, &taken, &renames);
    if (!renames.empty()) rename_in(renames, &module);
    take_header(&all.module, module);
    TESSERA_RETURN_IF_ERROR(add_all(&all, std::move(module.variables)));
    TESSERA_RETURN_IF_ERROR(add_all(&all, std::move(module.functions)));
    all.module.aliases.insert(all.module.aliases.end(), module.aliases.begin(), module.aliases.end());
  }
  return std::move(all.module);
}

}  // namespace tessera::softgpu::ptx
