// One translation unit while it is parsed, and how several become one module.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/status.h"
#include "softgpu/ptx/ast.h"
#include "softgpu/ptx/cursor.h"

namespace tessera::softgpu::ptx {

// Lookup by string_view without making a string.
struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
};
template <typename T>
using NameMap = std::unordered_map<std::string, T, NameHash, std::equal_to<>>;

struct Symbol {
  bool is_function = false;
  size_t index = 0;  // into Module::functions or Module::variables
};

// A module and its names. Declarations of one name meet under PTX's linkage rules.
class Unit {
 public:
  // The error, if any, is recorded in `cursor` at `line`.
  bool declare(Cursor& cursor, uint32_t line, Variable variable);
  bool declare(Cursor& cursor, Function function);
  // The same without a cursor: what is wrong, or nothing.
  const char* add(Variable variable);
  const char* add(Function function);

  const Symbol* find(std::string_view name) const;
  const Function* find_function(std::string_view name) const;

  Module module;

 private:
  NameMap<Symbol> symbols_;
};

// Links units into one module: exported names meet, local names that collide are made unique.
Result<Module> combine(std::vector<Unit> units);

}  // namespace tessera::softgpu::ptx
