#include "virtualization/vgpu/graph_copies.h"

#include <utility>

namespace tessera::vgpu {

void GraphCopies::instantiated(CUgraphExec exec, std::vector<GraphCopy> copies) {
  if (copies.empty()) {
    execs_.erase(exec);  // the handle may have been another's
    return;
  }
  Exec& made = execs_[exec];
  made.copies = std::move(copies);
  add_up(made);
}

template <typename Change>
void GraphCopies::change(CUgraphExec exec, CUgraphNode node, Change change) {
  const auto found = execs_.find(exec);
  if (found == execs_.end()) return;
  for (GraphCopy& copy : found->second.copies) {
    if (copy.node == node) change(copy);
  }
  add_up(found->second);
}

void GraphCopies::set_copy(CUgraphExec exec, CUgraphNode node, CopiedBytes copied) {
  change(exec, node, [&](GraphCopy& copy) { copy.copied = copied; });
}

void GraphCopies::set_enabled(CUgraphExec exec, CUgraphNode node, bool enabled) {
  change(exec, node, [&](GraphCopy& copy) { copy.enabled = enabled; });
}

void GraphCopies::made_like(CUgraphExec exec, std::optional<CUgraphNode> child,
                            const std::vector<GraphCopy>& copies) {
  const auto found = execs_.find(exec);
  if (found == execs_.end()) return;
  size_t next = 0;
  for (GraphCopy& copy : found->second.copies) {
    if (child && copy.child != *child) continue;
    if (next < copies.size()) copy.copied = copies[next++].copied;
  }
  add_up(found->second);
}

void GraphCopies::add_up(Exec& exec) {
  exec.totals = {};
  for (const GraphCopy& copy : exec.copies) {
    if (copy.enabled) exec.totals[static_cast<size_t>(copy.copied.way)] += copy.copied.bytes;
  }
}

GraphCopies::Totals GraphCopies::totals(CUgraphExec exec) const {
  const auto found = execs_.find(exec);
  return found == execs_.end() ? Totals{} : found->second.totals;
}

}  // namespace tessera::vgpu
