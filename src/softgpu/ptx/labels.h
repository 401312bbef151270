// Labels of a function body. They are scoped like other names, but may be used before they stand.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "softgpu/ptx/ast.h"
#include "softgpu/ptx/cursor.h"

namespace tessera::softgpu::ptx {

enum class LabelKind : uint8_t {
  kCode,           // index into Function::body; may be its size, the end of the function
  kBranchTargets,  // index into Function::branch_targets
  kPrototype,      // index into Function::prototypes
};

// A use of a label: where its index goes once it is known.
struct LabelUse {
  std::string_view name;
  uint32_t line = 0;
  LabelKind wanted = LabelKind::kCode;
  // kCode and kBranchTargets: an operand of an instruction, or (in_list) an element of a .branchtargets list.
  // kPrototype: `outer` is the instruction.
  bool in_list = false;
  uint32_t outer = 0, inner = 0;
};

class Labels {
 public:
  void enter();
  // Fills in what the labels of the scope that ends answer; what is left at the outermost is an error.
  bool leave(Cursor& cursor, Function& function);
  bool declare(Cursor& cursor, uint32_t line, std::string_view name, LabelKind kind, size_t index);
  void use(const LabelUse& use) { uses_.push_back(use); }

 private:
  struct Label {
    LabelKind kind;
    int32_t index;
  };
  struct Scope {
    std::unordered_map<std::string_view, Label> labels;
    size_t first_use = 0;
  };
  std::vector<Scope> scopes_;
  std::vector<LabelUse> uses_;
};

}  // namespace tessera::softgpu::ptx
