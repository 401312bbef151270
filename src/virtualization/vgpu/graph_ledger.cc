#include "virtualization/vgpu/graph_ledger.h"

#include <utility>

namespace tessera::vgpu {

void GraphLedger::instantiated(CUgraphExec exec, Bytes needs) {
  if (!needs.empty()) execs_[exec] = {std::move(needs), 0};
}

GraphLedger::Bytes GraphLedger::needs(CUgraphExec exec) const {
  const auto found = execs_.find(exec);
  const bool has_it = found == execs_.end() || found->second.launched_after == trims_;
  return has_it ? Bytes{} : found->second.needs;
}

GraphLedger::Bytes GraphLedger::all_needs(CUgraphExec exec) const {
  const auto found = execs_.find(exec);
  return found == execs_.end() ? Bytes{} : found->second.needs;
}

void GraphLedger::launched(CUgraphExec exec) {
  const auto found = execs_.find(exec);
  if (found != execs_.end()) found->second.launched_after = trims_;
}

uint64_t GraphLedger::charged(CUdevice device) const {
  const auto found = charged_.find(device);
  return found == charged_.end() ? 0 : found->second;
}

}  // namespace tessera::vgpu
