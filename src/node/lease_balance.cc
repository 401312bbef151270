// LeaseService's slices on several GPUs: which would fare better on another one, and taking them there.
#include "common/log.h"
#include "common/strings.h"
#include "node/lease_service.h"

namespace tessera::node {
namespace {

// Why a slice cannot be taken elsewhere; empty: it can.
std::string bound_by(const Slice& slice, bool observed) {
  if (!slice.kept) return "it ends with its program";
  if (!slice.leases.empty()) return "it has processes";
  if (observed) return "a process looks at it";
  if (slice.devices.size() > 1) return "it has parts of several GPUs";
  return "";
}

}  // namespace

LeaseService::Balance LeaseService::plan_balance() const {
  std::vector<partitioning::GpuState> gpus = ledger_.gpu_states();
  for (partitioning::GpuState& gpu : gpus) gpu.parts.clear();
  std::vector<partitioning::SlicePart> parts;
  Balance balance;
  for (const auto& [id, slice] : ledger_.slices()) {
    const std::string bound = bound_by(slice, !slices_.at(id).observers.empty());
    for (const SliceDevice& device : slice.devices) {
      parts.push_back({device.gpu,
                       {ledger_.set_aside_bytes(device), device.compute.share_permille, device.sms},
                       device.compute,
                       bound.empty()});
      balance.parts.push_back({id, device.gpu, bound});
    }
  }
  balance.plan = partitioning::plan_moves(std::move(gpus), parts);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].movable) balance.parts[i].stays = balance.plan.stays[i];
  }
  return balance;
}

Status LeaseService::apply_balance(const Balance& balance) {
  std::vector<Ledger::Move> moves;
  for (const auto& move : balance.plan.moves) {
    moves.push_back({balance.parts[move.part].slice, move.to, move.sms});
  }
  TESSERA_RETURN_IF_ERROR(ledger_.move_slices(moves));
  const uint64_t now_ns = loop_.now_ns();
  GateOrders orders;
  for (const Ledger::Move& move : moves) compute_.remove_slice(move.slice, now_ns, orders);
  for (const Ledger::Move& move : moves) {
    const Slice& slice = *ledger_.find_slice(move.slice);
    // A GPU has room for more slices than a node may have.
    TESSERA_RETURN_IF_ERROR(compute_.add_slice(slice, now_ns, orders));
    for (UsageWindow& window : slices_.at(move.slice).windows) window = UsageWindow();
    publish_terms(move.slice);
    publish_memory_terms(move.slice);
    LOG_INFO("slices", "'%s' moved to GPU %u", slice.name.c_str(), move.gpu);
    tell(monitoring::Severity::kInfo, "slice_moved", slice.name, str_format("to GPU %u", move.gpu),
         {{"gpu", uint64_t{move.gpu}}});
  }
  apply(orders);
  isolate_tenants(now_ns);
  save();
  return Status();
}

}  // namespace tessera::node
