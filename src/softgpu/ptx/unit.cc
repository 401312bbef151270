#include "softgpu/ptx/unit.h"

#include <algorithm>

namespace tessera::softgpu::ptx {
namespace {

enum class Choice : uint8_t { kFirst, kSecond, kConflict };

bool yields(Linkage linkage) { return linkage == Linkage::kWeak || linkage == Linkage::kCommon; }

// Which of two symbols of one name stays. A definition replaces declarations; a strong one replaces weak and
// common ones.
Choice choose(bool first_defined, Linkage first, bool second_defined, Linkage second) {
  if (!second_defined) return Choice::kFirst;
  if (!first_defined) return Choice::kSecond;
  if (yields(second)) return Choice::kFirst;
  return yields(first) ? Choice::kSecond : Choice::kConflict;
}

constexpr const char* kTwoKinds = "is declared both as a variable and as a function";
constexpr const char* kTwoDefinitions = "is defined twice";

// Makes `first` what both declare together; false where both are strong definitions.
bool merge(Variable& first, Variable&& second) {
  const uint32_t align = std::max(first.align, second.align);
  // A common variable is as large as its largest declaration; an extern array may leave its size to another.
  const bool grows = second.linkage == Linkage::kCommon || second.linkage == Linkage::kExtern;
  const uint64_t size = grows ? std::max(first.size, second.size) : second.size;
  switch (choose(first.linkage != Linkage::kExtern, first.linkage, second.linkage != Linkage::kExtern,
                 second.linkage)) {
    case Choice::kConflict:
      return false;
    case Choice::kSecond:
      first = std::move(second);
      break;
    case Choice::kFirst:
      if (grows && (first.linkage == Linkage::kCommon || first.linkage == Linkage::kExtern))
        first.size = size;
      break;
  }
  first.align = align;
  return true;
}

bool merge(Function& first, Function&& second) {
  switch (choose(first.defined, first.linkage, second.defined, second.linkage)) {
    case Choice::kConflict:
      return false;
    case Choice::kSecond:
      first = std::move(second);
      break;
    case Choice::kFirst:
      // ".visible .func f;" after ".func f {…}" in the same unit: the wider linkage counts.
      if (first.linkage == Linkage::kLocal) first.linkage = second.linkage;
      break;
  }
  return true;
}

template <typename T>
const char* add_to(NameMap<Symbol>& symbols, std::vector<T>& all, bool is_function, T&& item) {
  const auto [position, inserted] = symbols.try_emplace(item.name, Symbol{is_function, all.size()});
  if (inserted) {
    all.push_back(std::move(item));
    return nullptr;
  }
  if (position->second.is_function != is_function) return kTwoKinds;
  return merge(all[position->second.index], std::move(item)) ? nullptr : kTwoDefinitions;
}

}  // namespace

const char* Unit::add(Variable variable) {
  return add_to(symbols_, module.variables, false, std::move(variable));
}

const char* Unit::add(Function function) {
  return add_to(symbols_, module.functions, true, std::move(function));
}

bool Unit::declare(Cursor& cursor, uint32_t line, Variable variable) {
  const std::string name = shown(variable.name);
  const char* error = add(std::move(variable));
  return error == nullptr || cursor.fail_at(line, "'%s' %s", name.c_str(), error);
}

bool Unit::declare(Cursor& cursor, Function function) {
  const std::string name = shown(function.name);
  const uint32_t line = function.line;
  const char* error = add(std::move(function));
  return error == nullptr || cursor.fail_at(line, "'%s' %s", name.c_str(), error);
}

const Symbol* Unit::find(std::string_view name) const {
  const auto found = symbols_.find(name);
  return found == symbols_.end() ? nullptr : &found->second;
}

const Function* Unit::find_function(std::string_view name) const {
  const Symbol* symbol = find(name);
  return symbol != nullptr && symbol->is_function ? &module.functions[symbol->index] : nullptr;
}

}  // namespace tessera::softgpu::ptx
