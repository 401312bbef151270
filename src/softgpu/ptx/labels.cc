#include "softgpu/ptx/labels.h"

namespace tessera::softgpu::ptx {
namespace {

void fill_in(const LabelUse& use, int32_t index, Function& function) {
  if (use.in_list) {
    function.branch_targets[use.outer][use.inner] = index;
  } else if (use.wanted == LabelKind::kPrototype) {
    function.body[use.outer].prototype = index;
  } else {
    function.body[use.outer].operands[use.inner].target = index;
  }
}

const char* description(LabelKind kind) {
  switch (kind) {
    case LabelKind::kCode:
      return "a label";
    case LabelKind::kBranchTargets:
      return "a .branchtargets list";
    case LabelKind::kPrototype:
      return "a .callprototype or .calltargets list";
  }
  return "";
}

}  // namespace

void Labels::enter() { scopes_.push_back({{}, uses_.size()}); }

bool Labels::declare(Cursor& cursor, uint32_t line, std::string_view name, LabelKind kind, size_t index) {
  const bool is_new =
      scopes_.back().labels.try_emplace(name, Label{kind, static_cast<int32_t>(index)}).second;
  return is_new || cursor.fail_at(line, "label '%s' stands twice in one scope", shown(name).c_str());
}

bool Labels::leave(Cursor& cursor, Function& function) {
  const Scope& scope = scopes_.back();
  const bool outermost = scopes_.size() == 1;
  size_t kept = scope.first_use;
  for (size_t i = scope.first_use; i < uses_.size(); ++i) {
    const LabelUse& use = uses_[i];
    const auto found = scope.labels.find(use.name);
    if (found != scope.labels.end() && found->second.kind == use.wanted) {
      fill_in(use, found->second.index, function);
    } else if (found != scope.labels.end() || outermost) {
      return cursor.fail_at(use.line, "'%s' is not %s here", shown(use.name).c_str(),
                            description(use.wanted));
    } else {
      uses_[kept++] = use;
    }
  }
  uses_.resize(kept);
  scopes_.pop_back();
  return true;
}

}  // namespace tessera::softgpu::ptx
