// LeaseService's two budgets: of the slice's limit, and of the device itself.
#include <algorithm>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/size.h"
#include "common/strings.h"
#include "node/journal_records.h"
#include "node/lease_service.h"

namespace tessera::node {
namespace {

// What a slice may have on a GPU beyond its limit: granules that its blocks fill in part, and budget at hand.
constexpr uint64_t kResidentBeyondLimit = 128 * kMiB;

}  // namespace

using vgpu::BudgetKind;

void LeaseService::set_swap(const memory::SwapOptions& options, uint64_t host_bytes) {
  swap_options_ = options;
  swap_space_.set_bound(host_bytes);
}

vgpu::SwapTerms LeaseService::swap_terms() const {
  vgpu::SwapTerms terms{};
  terms.encoding = static_cast<uint32_t>(swap_options_.encoding);
  terms.encrypt = swap_options_.encrypt ? 1 : 0;
  terms.host_bounded = swap_space_.in_use() ? 1 : 0;
  terms.neighbour_use = static_cast<uint32_t>(swap_options_.neighbour_use);
  swap_options_.directory.copy(terms.directory, sizeof terms.directory - 1);
  return terms;
}

void LeaseService::open_residency(LeaseId id) {
  const Slice& slice = *ledger_.find_slice(ledger_.find_lease(id)->slice);
  if (swap_space_.in_use()) swap_space_.open(id, slice.devices.size());
  if (!residency_.in_use()) return;
  std::vector<ResidencyBroker::Promise> promises;
  for (const SliceDevice& device : slice.devices) promises.push_back({device.gpu, device.limit_bytes});
  residency_.open(id, slice.id, promises, loop_.now_ns());
  neighbours_.open(id, slice.devices.size());
}

void LeaseService::publish_memory_terms(SliceId id) {
  watch_copies();
  if (!residency_.in_use()) return;
  residency_.forget_terms(id);
  for (const SliceDevice& device : ledger_.find_slice(id)->devices)
    residency_.set_terms(id, device.gpu, device.memory);
}

Status LeaseService::set_memory(SliceId id, std::optional<uint32_t> gpu, const Ledger::MemoryChange& change) {
  TESSERA_RETURN_IF_ERROR(ledger_.set_memory(id, gpu, change));
  publish_memory_terms(id);
  save();
  const Slice& slice = *ledger_.find_slice(id);
  for (const SliceDevice& device : slice.devices) {
    if (gpu && device.gpu != *gpu) continue;
    std::string text =
        str_format("%s of GPU %u's memory guaranteed, weight %u",
                   device.memory.min_bytes == 0 ? "nothing" : format_size(device.memory.min_bytes).c_str(),
                   device.gpu, device.memory.weight);
    if (device.memory.copy_min != 0)
      text += ", copies of " + format_size(device.memory.copy_min) + " a second guaranteed";
    if (device.memory.copy_max != 0)
      text += ", copies of at most " + format_size(device.memory.copy_max) + " a second";
    LOG_INFO("slices", "'%s': %s", slice.name.c_str(), text.c_str());
    tell(monitoring::Severity::kInfo, "slice_changed", slice.name, text);
  }
  return Status();
}

uint64_t LeaseService::memory_wait_ns(SliceId id, size_t device) const {
  uint64_t total = slices_.at(id).ended[device].memory_wait_ns;
  for (const LeaseId lease : ledger_.find_slice(id)->leases)
    total += residency_.waited_ns(lease, static_cast<uint32_t>(device), loop_.now_ns());
  return total;
}

uint32_t LeaseService::memory_pressure_permille(SliceId id, size_t device) {
  return slices_.at(id).pressures[device].waits.used_permille(loop_.now_ns(), memory_wait_ns(id, device));
}

// Turns are long, and who waits for one waits all the time: it is over once there was none of it for a while.
void LeaseService::tell_pressure(SliceId id, uint64_t now_ns) {
  constexpr uint32_t kMuch = 500;
  constexpr uint64_t kQuietNs = 60'000'000'000;
  if (!residency_.in_use()) return;
  const Slice& slice = *ledger_.find_slice(id);
  for (size_t i = 0; i < slice.devices.size(); ++i) {
    SliceRecord::Pressure& pressure = slices_.at(id).pressures[i];
    const uint32_t permille = memory_pressure_permille(id, i);
    pressure.waits.sample(now_ns, memory_wait_ns(id, i));
    const uint32_t gpu = slice.devices[i].gpu;
    if (permille >= kMuch && pressure.told_until_ns == 0) {
      tell(monitoring::Severity::kWarning, "memory_pressure", slice.name,
           str_format("%u %% of the last seconds it waited for memory of GPU %u", permille / 10, gpu),
           {{"gpu", uint64_t{gpu}}, {"percent", uint64_t{permille / 10}}});
    }
    if (permille >= kMuch) pressure.told_until_ns = now_ns + kQuietNs;
    if (pressure.told_until_ns == 0 || now_ns < pressure.told_until_ns) continue;
    pressure.told_until_ns = 0;
    tell(monitoring::Severity::kInfo, "memory_pressure_over", slice.name,
         str_format("it has not waited much for memory of GPU %u for a minute", gpu),
         {{"gpu", uint64_t{gpu}}});
  }
}

void LeaseService::measure_needs() {
  if (!residency_.in_use()) return;
  bool changed = false;
  for (auto& [id, record] : slices_) {
    const Slice& slice = *ledger_.find_slice(id);
    for (size_t i = 0; i < slice.devices.size(); ++i) {
      memory::WorkingSet& need = record.needs[i];
      if (record.processes == 0 && !need.need_bytes()) continue;
      need.saw(ledger_.take_recent_peak(id, i), slice.devices[i].granted_bytes, loop_.now_ns());
      changed |= ledger_.set_need(id, i, need.need_bytes());
    }
  }
  if (changed) save();
}

Status LeaseService::attach_residency(LeaseId id, const ReattachMessage& held, Effects& effects) {
  if (!residency_.in_use()) return Status();
  if (swap_space_.in_use()) TESSERA_RETURN_IF_ERROR(swap_space_.attach(id, held.swap_bytes));
  TESSERA_RETURN_IF_ERROR(residency_.attach(id, held.resident_bytes, loop_.now_ns(), effects));
  attach_neighbours(id, held, effects);
  return Status();
}

void LeaseService::close_residency(LeaseId id, Effects& effects) {
  swap_space_.close(id);
  neighbours_.close(id, loop_.now_ns(), effects);
  overdue_.erase(id);
  residency_.close(id, loop_.now_ns(), effects);
}

Status LeaseService::reserve(LeaseId lease, uint32_t request, const ReserveMessage& message,
                             Effects& effects) {
  lending_changed_ |= message.kind != BudgetKind::kLimit;
  switch (message.kind) {
    case BudgetKind::kLimit:
      return broker_.reserve(lease, request, message, loop_.now_ns(), effects);
    case BudgetKind::kResident:
      return reserve_resident(lease, request, message, effects);
    case BudgetKind::kNeighbour: {
      TESSERA_ASSIGN_OR_RETURN(const uint64_t granted, lend(lease, message));
      effects.answers.push_back({lease, request, message.device, granted, BudgetKind::kNeighbour});
      return Status();
    }
    case BudgetKind::kSwap: {
      const bool exchange = residency_.gives_way_for_return(lease, message.device);
      const auto what = exchange ? SwapSpace::For::kExchange : SwapSpace::For::kGrowth;
      TESSERA_ASSIGN_OR_RETURN(const uint64_t granted, swap_space_.reserve(lease, message, what));
      effects.answers.push_back({lease, request, message.device, granted, BudgetKind::kSwap});
      return Status();
    }
  }
  return Status(Code::kInternal, "a budget of no kind");
}

Status LeaseService::reserve_resident(LeaseId lease, uint32_t request, const ReserveMessage& message,
                                      Effects& effects) {
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
  lending_changed_ |= message.kind != BudgetKind::kLimit;
  switch (message.kind) {
    case BudgetKind::kLimit:
      return broker_.release(lease, message, loop_.now_ns(), effects);
    case BudgetKind::kResident:
      return residency_.release(lease, message, loop_.now_ns(), effects);
    case BudgetKind::kSwap:
      return swap_space_.release(lease, message.device, message.bytes);
    case BudgetKind::kNeighbour:
      return neighbours_.release(lease, message.device, message.bytes, loop_.now_ns(), effects);
  }
  return Status(Code::kInternal, "a budget of no kind");
}

Status LeaseService::recalled(LeaseId lease, uint32_t number, const RecalledMessage& message,
                              Effects& effects) {
  lending_changed_ |= message.kind != BudgetKind::kLimit;
  switch (message.kind) {
    case BudgetKind::kLimit:
      return broker_.recalled(lease, number, message, loop_.now_ns(), effects);
    case BudgetKind::kResident: {
      Status status = residency_.recalled(lease, number, message, loop_.now_ns(), effects);
      failpoint("daemon.swap.recalled");
      return status;
    }
    case BudgetKind::kNeighbour: {
      Status status = neighbours_.recalled(lease, number, message, loop_.now_ns(), effects);
      failpoint("daemon.swap.neighbour.recalled");
      return status;
    }
    case BudgetKind::kSwap:
      break;
  }
  return Status(Code::kInvalidData, "Recalled answers no recall: none is made of that budget");
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
    const std::string text = str_format("%u %% of its time goes into moving memory; turns are %.1f s now",
                                        moving.percent, static_cast<double>(moving.turn_ns) / 1e9);
    const monitoring::EventDetails details = {{"percent", uint64_t{moving.percent}},
                                              {"turn_ms", moving.turn_ns / 1'000'000}};
    if (moving.thrashing) {
      thrashing_.insert(gpu);
      LOG_WARN("memory", "GPU %u thrashes: %s", gpu, text.c_str());
      tell(monitoring::Severity::kWarning, "thrashing", gpu_uuids_[gpu], text, details);
    } else {
      thrashing_.erase(gpu);
      LOG_INFO("memory", "GPU %u thrashes no longer: %s", gpu, text.c_str());
      tell(monitoring::Severity::kInfo, "thrashing_over", gpu_uuids_[gpu], text, details);
    }
    remember(memory_key(gpu_uuids_[gpu]), memory_record(residency_.moving_state(gpu)));
  }
}

void LeaseService::restore_moving() {
  if (!residency_.in_use()) return;
  for (uint32_t gpu = 0; gpu < gpu_uuids_.size(); ++gpu) {
    const auto found = journal_->values().find(memory_key(gpu_uuids_[gpu]));
    if (found == journal_->values().end()) continue;
    const auto state = read_memory_record(found->second);
    if (!state) continue;
    residency_.restore_moving(gpu, *state);
    if (residency_.moving(gpu).thrashing) thrashing_.insert(gpu);
  }
}

}  // namespace tessera::node
