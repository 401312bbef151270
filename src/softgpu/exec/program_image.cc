#include "softgpu/exec/program_image.h"

#include <algorithm>
#include <cstring>

#include "common/bytes.h"

namespace tessera::softgpu::exec {

Result<std::shared_ptr<ProgramImage>> ProgramImage::create(ptx::Module module, VariableMemory& memory) {
  if (module.address_size != 64) {
    return Status::error(Code::kUnsupported, "PTX with .address_size %u: only 64 is supported",
                         module.address_size);
  }
  auto image = std::make_shared<ProgramImage>();
  image->module_ = std::move(module);
  image->index_names();
  TESSERA_RETURN_IF_ERROR(image->place_variables(memory));
  return image;
}

void ProgramImage::index_names() {
  for (const ptx::Function& function : module_.functions) {
    const ptx::Function*& known = functions_[function.name];
    if (known == nullptr || !known->defined) known = &function;
  }
  for (const auto& [alias, aliasee] : module_.aliases) {
    const auto target = functions_.find(aliasee);
    if (target != functions_.end()) functions_[alias] = target->second;
  }
  for (const ptx::Variable& variable : module_.variables) {
    const ptx::Variable*& known = variables_[variable.name];
    if (known == nullptr || known->linkage == ptx::Linkage::kExtern) known = &variable;
  }
  tokens_ = std::make_unique<std::byte[]>(kTokenStride * std::max<size_t>(module_.functions.size(), 1));
}

const ptx::Function* ProgramImage::function(const std::string& name) const {
  const auto found = functions_.find(name);
  return found == functions_.end() ? nullptr : found->second;
}

const ptx::Variable* ProgramImage::variable(const std::string& name) const {
  const auto found = variables_.find(name);
  return found == variables_.end() ? nullptr : found->second;
}

uint64_t ProgramImage::address(const std::string& name) const {
  const auto found = addresses_.find(name);
  return found == addresses_.end() ? 0 : found->second;
}

uint64_t ProgramImage::token(const ptx::Function& function) const {
  return token_base() + kTokenStride * function_index(function);
}

Status ProgramImage::place_variables(VariableMemory& memory) {
  for (const auto& [name, variable] : variables_) {
    if (variable->space != ptx::Space::kGlobal && variable->space != ptx::Space::kConst) continue;
    if (variable->linkage == ptx::Linkage::kExtern) {
      return Status::error(Code::kInvalidData, "undefined variable '%s'", name.c_str());
    }
    if (ptx::is_reference(variable->type)) {
      addresses_[name] = memory.refer(name, variable->type == ptx::Type::kSurfref);
      continue;
    }
    auto address = memory.allocate(std::max<uint64_t>(variable->size, 1), std::max(variable->align, 1u),
                                   variable->managed);
    if (!address.ok()) return address.status().with_context("variable '" + name + "'");
    addresses_[name] = *address;
    symbols_.push_back({name, *address, variable->size, variable->managed, variable->space});
  }
  for (const Symbol& symbol : symbols_)
    TESSERA_RETURN_IF_ERROR(initialise(*variables_.at(symbol.name), symbol.address));
  return {};
}

Result<uint64_t> ProgramImage::relocated(const ptx::Relocation& relocation) const {
  uint64_t value = address(relocation.symbol);
  if (value == 0) {
    const ptx::Function* target = function(relocation.symbol);
    if (target == nullptr)
      return Status::error(Code::kInvalidData, "undefined symbol '%s' in an initial value",
                           relocation.symbol.c_str());
    value = token(*target);
  }
  return (value + static_cast<uint64_t>(relocation.addend)) >> (8 * std::min(relocation.shift, 7u));
}

// Device addresses are addresses of this process.
Status ProgramImage::initialise(const ptx::Variable& variable, uint64_t address) const {
  auto* bytes = reinterpret_cast<std::byte*>(static_cast<uintptr_t>(address));
  if (variable.initial.size() > variable.size) {
    return Status::error(Code::kInvalidData, "initial value of '%s' is longer than the variable",
                         variable.name.c_str());
  }
  if (!variable.initial.empty()) std::memcpy(bytes, variable.initial.data(), variable.initial.size());
  for (const ptx::Relocation& relocation : variable.relocations) {
    if (relocation.size > 8 || !range_fits(relocation.offset, relocation.size, variable.size)) {
      return Status::error(Code::kInvalidData, "an address in the initial value of '%s' is out of its bounds",
                           variable.name.c_str());
    }
    TESSERA_ASSIGN_OR_RETURN(const uint64_t value, relocated(relocation));
    std::memcpy(bytes + relocation.offset, &value, relocation.size);
  }
  return {};
}

}  // namespace tessera::softgpu::exec
