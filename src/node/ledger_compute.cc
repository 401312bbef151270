// The ledger's pages about the GPUs' time and SMs: what is promised, and which SMs are whose own.
#include <algorithm>
#include <cassert>

#include "node/ledger.h"

namespace tessera::node {

void Ledger::set_gpu_facts(std::vector<GpuFacts> facts) {
  assert(slices_.empty() && facts.size() == gpu_totals_.size());
  gpu_facts_ = std::move(facts);
}

partitioning::GpuState Ledger::gpu_state(uint32_t gpu, SliceId except) const {
  partitioning::GpuState state;
  state.memory_bytes = promisable_bytes(gpu);
  state.physical_bytes = gpu_totals_.at(gpu);
  state.sm_count = gpu_facts_.at(gpu).sm_count;
  state.control = gpu_facts_.at(gpu).control;
  auto closed = closed_.find(gpu);
  if (closed != closed_.end()) state.unusable = "quarantined: " + closed->second;
  for (const auto& [id, slice] : slices_) {
    for (const SliceDevice& device : slice.devices) {
      if (device.gpu != gpu || id == except) continue;
      state.parts.push_back({set_aside_bytes(device), device.compute.share_permille, device.sms,
                             device.memory.min_bytes, device.reserved ? device.limit_bytes : 0});
      state.shared_in_use |= device.sms.empty() && !slice.leases.empty();
    }
  }
  return state;
}

std::vector<partitioning::GpuState> Ledger::gpu_states() const {
  std::vector<partitioning::GpuState> states;
  for (uint32_t gpu = 0; gpu < gpu_totals_.size(); ++gpu) states.push_back(gpu_state(gpu));
  return states;
}

uint32_t Ledger::portion_percent(const SliceDevice& device) const {
  const GpuFacts& facts = gpu_facts_.at(device.gpu);
  if (facts.control != partitioning::SmControl::kPortions || facts.sm_count == 0) return 0;
  const uint32_t sms = device.sms.empty() ? gpu_state(device.gpu).shared_sms().count() : device.sms.count();
  return std::max(sms * 100 / facts.sm_count, 1u);
}

// Where the driver gives a process its SMs when it starts, they change for who has none.
Status Ledger::check_can_change(const Slice& slice, const SliceDevice& device, const IndexSet& sms) const {
  const bool keeps = gpu_facts_.at(device.gpu).control == partitioning::SmControl::kPortions;
  if (!keeps || slice.leases.empty() || sms == device.sms) return Status();
  return Status::error(Code::kFailedPrecondition,
                       "slice '%s' has %zu process%s that GPU %u's driver gave their SMs when they started "
                       "(MPS); end them first",
                       slice.name.c_str(), slice.leases.size(), slice.leases.size() == 1 ? "" : "es",
                       device.gpu);
}

Status Ledger::set_compute(SliceId id, std::optional<uint32_t> gpu, const ComputeChange& change) {
  Slice& slice = slices_.at(id);
  struct Changed {
    SliceDevice* device;
    partitioning::ComputeSpec compute;
    IndexSet sms;
  };
  std::vector<Changed> changes;
  for (SliceDevice& device : slice.devices) {
    if (gpu && device.gpu != *gpu) continue;
    Changed changed{&device, device.compute, {}};
    TESSERA_RETURN_IF_ERROR(change(changed.compute));
    auto sms = partitioning::plan_sms(gpu_state(device.gpu, id), device.gpu, changed.compute, device.sms);
    TESSERA_RETURN_IF_ERROR(check_can_change(slice, device, sms.ok() ? *sms : IndexSet()));
    if (!sms.ok()) return sms.status();
    changed.sms = *sms;
    changes.push_back(std::move(changed));
  }
  if (changes.empty()) {
    return Status::error(Code::kNotFound, "slice '%s' has no part of GPU %u", slice.name.c_str(), *gpu);
  }
  for (const Changed& changed : changes) {
    changed.device->compute = changed.compute;
    changed.device->sms = changed.sms;
  }
  touched_.slices.insert(id);
  return Status();
}

Status Ledger::move_slices(std::span<const Move> moves) {
  std::vector<std::pair<SliceDevice*, SliceDevice>> before;
  Status status;
  for (const Move& move : moves) {
    Slice& slice = slices_.at(move.slice);
    if (!slice.leases.empty() || slice.devices.size() != 1 || move.gpu >= gpu_totals_.size()) {
      status = Status(Code::kFailedPrecondition, "slice '" + slice.name + "' cannot be moved");
      break;
    }
    SliceDevice& device = slice.devices[0];
    before.emplace_back(&device, device);
    device.gpu = move.gpu;
    device.sms = move.sms;
    if (!device.reserved) device.limit_bytes = gpu_totals_[move.gpu];
  }
  if (status.ok()) status = check();
  if (!status.ok()) {
    for (auto entry = before.rbegin(); entry != before.rend(); ++entry) *entry->first = entry->second;
    return status;
  }
  for (const Move& move : moves) touched_.slices.insert(move.slice);
  return Status();
}

Status Ledger::check_sms_of_gpus() const {
  for (uint32_t gpu = 0; gpu < gpu_totals_.size(); ++gpu) {
    const partitioning::GpuState state = gpu_state(gpu);
    IndexSet owned;
    for (const partitioning::Part& part : state.parts) {
      if (part.sms.intersects(owned)) return Status(Code::kInternal, "an SM is two slices' own");
      owned |= part.sms;
    }
    if (state.promised_in_time_permille() > state.shared_permille()) {
      return Status(Code::kInternal, "more is promised of a GPU than it has");
    }
  }
  return Status();
}

}  // namespace tessera::node
