#include "softgpu/exec/reachable.h"

#include <algorithm>
#include <set>

#include "softgpu/exec/device_calls.h"

namespace tessera::softgpu::exec {
namespace {

constexpr uint64_t kMaxSharedBytes = kSharedWindowSize / 2;

// Calls visit(symbol) for each symbol an instruction names, outside of a call's target and lists.
template <class F>
void for_each_symbol(const ptx::Operand& operand, F visit) {
  if (!operand.symbol.empty() && operand.kind != ptx::OperandKind::kSpecial) visit(operand.symbol);
  for (const ptx::Operand& element : operand.elements) for_each_symbol(element, visit);
}

class Search {
 public:
  // `seen`: kernels whose needs have been looked at, across the kernels that launch each other.
  Search(const ProgramImage& image, std::set<const ptx::Function*>* seen) : image_(image), seen_(seen) {}

  Result<Reachable> run(const ptx::Function& entry) {
    TESSERA_RETURN_IF_ERROR(add(entry));
    for (size_t i = 0; i < found_.functions.size(); ++i) TESSERA_RETURN_IF_ERROR(scan(*found_.functions[i]));
    TESSERA_RETURN_IF_ERROR(lay_out_shared());
    TESSERA_RETURN_IF_ERROR(add_needs_of_launched());
    return std::move(found_);
  }

 private:
  Status add(const ptx::Function& function) {
    if (!function.defined) {
      if (const DeviceBuiltin* builtin = find_device_builtin(function.name)) {
        if (builtin->need != nullptr) found_.needs.*builtin->need = true;
        return {};
      }
      return Status::error(Code::kInvalidData, "call of an undefined function '%s'", function.name.c_str());
    }
    if (found_.index.try_emplace(&function, static_cast<int32_t>(found_.functions.size())).second)
      found_.functions.push_back(&function);
    return {};
  }

  Status scan(const ptx::Function& function) {
    for (const ptx::Instruction& instruction : function.body) {
      if (instruction.opcode == "call" && !instruction.operands.empty()) {
        const ptx::Operand& target = instruction.operands[0];
        if (target.kind == ptx::OperandKind::kSymbol) {
          const ptx::Function* callee = image_.function(target.symbol);
          if (callee == nullptr)
            return Status::error(Code::kInvalidData, "call of an undefined function '%s'",
                                 target.symbol.c_str());
          TESSERA_RETURN_IF_ERROR(add(*callee));
        } else {
          TESSERA_RETURN_IF_ERROR(add_address_taken());
        }
        continue;
      }
      for (const ptx::Operand& operand : instruction.operands) {
        for_each_symbol(operand, [&](const std::string& symbol) {
          const ptx::Variable* variable = image_.variable(symbol);
          if (variable != nullptr && variable->space == ptx::Space::kShared) shared_.insert(symbol);
          const ptx::Function* kernel = image_.function(symbol);
          if (kernel != nullptr && kernel->entry && kernel->defined) launched_.push_back(kernel);
        });
      }
    }
    return {};
  }

  // An indirect call may reach every function whose address is stored or moved anywhere.
  Status add_address_taken() {
    if (address_taken_added_) return {};
    address_taken_added_ = true;
    std::set<std::string> names;
    for (const ptx::Variable& variable : image_.module().variables) {
      for (const ptx::Relocation& relocation : variable.relocations) names.insert(relocation.symbol);
    }
    for (const ptx::Function& function : image_.module().functions) {
      for (const ptx::Instruction& instruction : function.body) {
        const size_t first = instruction.opcode == "call" ? 1 : 0;
        for (size_t i = first; i < instruction.operands.size(); ++i) {
          for_each_symbol(instruction.operands[i], [&](const std::string& symbol) { names.insert(symbol); });
        }
      }
    }
    for (const std::string& name : names) {
      const ptx::Function* function = image_.function(name);
      if (function != nullptr && !function->entry && function->defined)
        TESSERA_RETURN_IF_ERROR(add(*function));
    }
    return {};
  }

  // What a kernel that may be launched from here needs has to be there before.
  Status add_needs_of_launched() {
    for (const ptx::Function* kernel : launched_) {
      if (!seen_->insert(kernel).second) continue;
      TESSERA_ASSIGN_OR_RETURN(const Reachable child, Search(image_, seen_).run(*kernel));
      found_.needs.uses_heap |= child.needs.uses_heap;
      found_.needs.launches_grids |= child.needs.launches_grids;
    }
    return {};
  }

  static bool is_dynamic(const ptx::Variable& variable) { return variable.size == 0; }

  Status place(const ptx::Variable& variable, uint32_t* offset) {
    const uint64_t align = std::max(variable.align, 1u);
    const uint64_t start = (top_ + align - 1) / align * align;
    *offset = static_cast<uint32_t>(start);
    top_ = start + variable.size;
    if (variable.size > kMaxSharedBytes || top_ > kMaxSharedBytes) {
      return Status::error(Code::kResourceExhausted, "shared memory of more than %llu bytes",
                           static_cast<unsigned long long>(kMaxSharedBytes));
    }
    return {};
  }

  Status lay_out_shared() {
    uint64_t dynamic_align = 16;
    SharedLayout& layout = found_.shared;
    for (const std::string& name : shared_) {
      const ptx::Variable& variable = *image_.variable(name);
      if (is_dynamic(variable)) {
        dynamic_align = std::max<uint64_t>(dynamic_align, variable.align);
      } else {
        TESSERA_RETURN_IF_ERROR(place(variable, &layout.module_variables[name]));
      }
    }
    for (const ptx::Function* function : found_.functions) {
      for (const ptx::Variable& variable : function->variables) {
        if (variable.space != ptx::Space::kShared || is_dynamic(variable)) continue;
        TESSERA_RETURN_IF_ERROR(place(variable, &layout.function_variables[&variable]));
      }
    }
    layout.static_bytes = static_cast<uint32_t>(top_);
    layout.dynamic_offset = static_cast<uint32_t>((top_ + dynamic_align - 1) / dynamic_align * dynamic_align);
    for (const std::string& name : shared_) layout.module_variables.try_emplace(name, layout.dynamic_offset);
    for (const ptx::Function* function : found_.functions) {
      for (const ptx::Variable& variable : function->variables) {
        if (variable.space == ptx::Space::kShared)
          layout.function_variables.try_emplace(&variable, layout.dynamic_offset);
      }
    }
    return {};
  }

  const ProgramImage& image_;
  std::set<const ptx::Function*>* const seen_;
  Reachable found_;
  std::vector<const ptx::Function*> launched_;
  std::set<std::string> shared_;
  bool address_taken_added_ = false;
  uint64_t top_ = 0;
};

}  // namespace

Result<Reachable> find_reachable(const ProgramImage& image, const ptx::Function& entry) {
  std::set<const ptx::Function*> seen = {&entry};
  return Search(image, &seen).run(entry);
}

}  // namespace tessera::softgpu::exec
