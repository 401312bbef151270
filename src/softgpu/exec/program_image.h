// A linked module: where its variables are, what its function pointers look like.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/status.h"
#include "softgpu/exec/executor.h"
#include "softgpu/ptx/ast.h"

namespace tessera::softgpu::exec {

// Distance of function tokens; a pointer that is no multiple of it calls nothing.
constexpr uint64_t kTokenStride = 16;

class ProgramImage {
 public:
  static Result<std::shared_ptr<ProgramImage>> create(ptx::Module module, VariableMemory& memory);

  const ptx::Module& module() const { return module_; }
  const std::vector<Symbol>& symbols() const { return symbols_; }
  // Null where there is none; a definition is preferred to a declaration, aliases are followed.
  const ptx::Function* function(const std::string& name) const;
  const ptx::Variable* variable(const std::string& name) const;
  // Of a .global or .const variable, or the number of a reference; 0 where there is none of that name.
  uint64_t address(const std::string& name) const;
  // What a pointer to the function holds: an address nothing else can have.
  uint64_t token(const ptx::Function& function) const;
  uint64_t token_base() const { return reinterpret_cast<uintptr_t>(tokens_.get()); }
  size_t function_index(const ptx::Function& function) const {
    return static_cast<size_t>(&function - module_.functions.data());
  }

 private:
  void index_names();
  Status place_variables(VariableMemory& memory);
  Status initialise(const ptx::Variable& variable, uint64_t address) const;
  Result<uint64_t> relocated(const ptx::Relocation& relocation) const;

  ptx::Module module_;
  std::unordered_map<std::string, const ptx::Function*> functions_;
  std::unordered_map<std::string, const ptx::Variable*> variables_;
  std::unordered_map<std::string, uint64_t> addresses_;
  std::vector<Symbol> symbols_;
  std::unique_ptr<std::byte[]> tokens_;  // never read or written: its addresses are the tokens
};

}  // namespace tessera::softgpu::exec
