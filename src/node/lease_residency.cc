// LeaseService's two budgets: of the slice's limit, and of the device itself.
#include <algorithm>

#include "common/log.h"
#include "common/size.h"
#include "node/lease_service.h"

namespace tessera::node {
namespace {

// What a slice may have on a GPU beyond its limit: granules that its blocks fill in part, and budget at hand.
constexpr uint64_t kResidentBeyondLimit = 128 * kMiB;

}  // namespace

using vgpu::BudgetKind;

void LeaseService::open_residency(LeaseId id) {
  if (!residency_.in_use()) return;
  std::vector<ResidencyBroker::Promise> promises;
  for (const SliceDevice& device : ledger_.find_slice(ledger_.find_lease(id)->slice)->devices) {
    promises.push_back({device.gpu, device.limit_bytes});
  }
  residency_.open(id, promises, loop_.now_ns());
}

Status LeaseService::reserve(LeaseId lease, uint32_t request, const ReserveMessage& message,
                             Effects& effects) {
  if (message.kind == BudgetKind::kLimit) {
    return broker_.reserve(lease, request, message, loop_.now_ns(), effects);
  }
  const Slice& slice = *ledger_.find_slice(ledger_.find_lease(lease)->slice);
  if (message.device >= slice.devices.size()) {
    return Status::error(Code::kInvalidData, "device index %u is not in the slice", message.device);
  }
  const uint64_t most = slice.devices[message.device].limit_bytes + kResidentBeyondLimit;
  uint64_t resident = 0;
  for (LeaseId each : slice.leases) resident += residency_.resident_bytes(each, message.device);
  const uint64_t left = most - std::min(most, resident);
  if (residency_.in_use() && message.bytes_needed > left) {
    effects.answers.push_back({lease, request, message.device, 0, BudgetKind::kResident});
    return Status();
  }
  ReserveMessage bounded = message;
  bounded.bytes_wanted = std::min(message.bytes_wanted, std::max(left, message.bytes_needed));
  return residency_.reserve(lease, request, bounded, loop_.now_ns(), effects);
}

Status LeaseService::release(LeaseId lease, const ReleaseMessage& message, Effects& effects) {
  return message.kind == BudgetKind::kResident ? residency_.release(lease, message, loop_.now_ns(), effects)
                                               : broker_.release(lease, message, loop_.now_ns(), effects);
}

Status LeaseService::recalled(LeaseId lease, uint32_t number, const RecalledMessage& message,
                              Effects& effects) {
  return message.kind == BudgetKind::kResident
             ? residency_.recalled(lease, number, message, loop_.now_ns(), effects)
             : broker_.recalled(lease, number, message, loop_.now_ns(), effects);
}

Status LeaseService::returned(LeaseId lease, const ReturnedMessage& message, Effects& effects) {
  TESSERA_RETURN_IF_ERROR(residency_.returned(lease, message, loop_.now_ns(), effects));
  tell_thrash();
  return Status();
}

void LeaseService::tell_thrash() {
  for (uint32_t gpu = 0; gpu < gpu_uuids_.size(); ++gpu) {
    const ResidencyBroker::Moving moving = residency_.moving(gpu);
    if (moving.thrashing == thrashing_.contains(gpu)) continue;
    if (moving.thrashing) {
      thrashing_.insert(gpu);
      LOG_WARN("memory", "GPU %u thrashes: %u %% of its time goes into moving memory; turns are %.1f s now",
               gpu, moving.percent, static_cast<double>(moving.turn_ns) / 1e9);
    } else {
      thrashing_.erase(gpu);
      LOG_INFO("memory", "GPU %u thrashes no longer: %u %% of its time goes into moving memory", gpu,
               moving.percent);
    }
  }
}

}  // namespace tessera::node
