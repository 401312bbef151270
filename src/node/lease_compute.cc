// LeaseService's dealings with the GPU's time: gates, what processes report, who had how much.
#include <algorithm>

#include "common/log.h"
#include "common/strings.h"
#include "node/lease_service.h"

namespace tessera::node {

Status LeaseService::set_compute(SliceId id, std::optional<uint32_t> gpu,
                                 const Ledger::ComputeChange& change) {
  TESSERA_RETURN_IF_ERROR(ledger_.set_compute(id, gpu, change));
  const Slice& slice = *ledger_.find_slice(id);
  GateOrders orders;
  for (uint32_t device = 0; device < slice.devices.size(); ++device) {
    const SliceDevice& part = slice.devices[device];
    if (gpu && part.gpu != *gpu) continue;
    update_compute(id, device, orders);
    LOG_INFO("slices", "'%s': GPU %u, share %u/1000 in %s%s, priority %s", slice.name.c_str(), part.gpu,
             part.compute.share_permille, part.sms.empty() ? "time" : "space, SMs ", part.sms.text().c_str(),
             scheduling::priority_name(part.compute.priority));
    tell(monitoring::Severity::kInfo, "slice_changed", slice.name,
         str_format("share %u/1000 of GPU %u, priority %s", part.compute.share_permille, part.gpu,
                    scheduling::priority_name(part.compute.priority)),
         {{"gpu", uint64_t{part.gpu}},
          {"share_permille", uint64_t{part.compute.share_permille}},
          {"priority", scheduling::priority_name(part.compute.priority)}});
  }
  publish_terms(id);
  apply(orders);
  save();
  return Status();
}

Status LeaseService::gate_notice(const Lease& lease, const GateMessage& message) {
  if (message.device >= lease.devices.size()) {
    return Status::error(Code::kInvalidData, "device index %u is not in the slice", message.device);
  }
  const uint64_t now_ns = loop_.now_ns();
  report_work(lease, message.device, now_ns);
  GateOrders orders;
  if (message.type == vgpu::MessageType::kWake) {
    compute_.wake(lease.slice, lease.id, message.device, now_ns, orders);
  } else if (message.type == vgpu::MessageType::kIdle) {
    compute_.idle(lease.slice, lease.id, message.device, message.word, now_ns, orders);
  } else {
    compute_.stopped(lease.slice, lease.id, message.device, message.word, now_ns, orders);
  }
  apply(orders);
  return Status();
}

void LeaseService::report_work(const Lease& lease, uint32_t device, uint64_t now_ns) {
  const WorkValues values = leases_.at(lease.id).counters.read_work(device);
  compute_.report(lease.slice, lease.id, device,
                  {values.busy_ns, values.kernels, values.ready_ns, values.ready_sm_ns}, now_ns);
}

void LeaseService::apply(const GateOrders& orders) {
  for (const GateOrder& order : orders) {
    auto slice = slices_.find(order.slice);
    if (slice != slices_.end()) slice->second.grants.set_gate(order.device, order.gate);
  }
}

void LeaseService::take_turns(uint64_t now_ns) {
  const std::optional<uint64_t> due = next_turn_ns();
  if (!due || *due > now_ns) return;
  for (const ComputeBroker::Running& running : compute_.running()) {
    for (LeaseId lease : ledger_.find_slice(running.slice)->leases) {
      report_work(*ledger_.find_lease(lease), running.device, now_ns);
    }
  }
  GateOrders orders;
  compute_.decide(now_ns, orders);
  apply(orders);
}

void LeaseService::sample_use(uint64_t now_ns) {
  if (now_ns < next_sample_ns_ || ledger_.leases().empty()) return;
  next_sample_ns_ = now_ns + UsageWindow::kSampleNs;
  faults_.forget_quiet(now_ns);
  isolate_tenants(now_ns);
  measure_needs();
  for (auto& [id, record] : slices_) {
    hear_all(id, now_ns);
    tell_pressure(id, now_ns);
    for (uint32_t i = 0; i < record.windows.size(); ++i)
      record.windows[i].sample(now_ns, compute_.used_ns(id, i));
  }
}

// What its processes have measured since they last said; not again at once, as one answer asks for several
// figures. Those that have no turn have said all when it ended.
void LeaseService::hear_all(SliceId slice, uint64_t now_ns) {
  constexpr uint64_t kHeardForNs = 50'000'000;
  uint64_t& heard_ns = slices_.at(slice).heard_ns;
  if (heard_ns != 0 && now_ns < heard_ns + kHeardForNs) return;
  heard_ns = now_ns;
  const Slice& found = *ledger_.find_slice(slice);
  for (uint32_t i = 0; i < found.devices.size(); ++i) {
    if (!is_turn(compute_.state(slice, i))) continue;
    for (LeaseId lease : found.leases) report_work(*ledger_.find_lease(lease), i, now_ns);
  }
}

uint32_t LeaseService::achieved_permille(SliceId slice, size_t device) {
  hear_all(slice, loop_.now_ns());
  return told_permille(slice, device);
}

uint32_t LeaseService::told_permille(SliceId slice, size_t device) {
  return slices_.at(slice).windows[device].used_permille(
      loop_.now_ns(), compute_.used_ns(slice, static_cast<uint32_t>(device)));
}

LeaseService::Shares LeaseService::shares(SliceId id, size_t index) {
  const auto device = static_cast<uint32_t>(index);
  const uint32_t gpu = ledger_.find_slice(id)->devices[index].gpu;
  const uint32_t entitled = compute_.entitled_permille(id, device);
  const uint32_t achieved = achieved_permille(id, index);
  if (achieved >= entitled) return {entitled, achieved, -static_cast<int32_t>(achieved - entitled)};
  // What nobody had was not lent.
  return {entitled, achieved, static_cast<int32_t>(std::min(entitled - achieved, borrowed_permille(gpu)))};
}

// All at once and seldom: an answer about each of many slices must not look at all others each time. By what
// their processes last said: to hear all of them at once is what takes long.
uint32_t LeaseService::borrowed_permille(uint32_t gpu) {
  constexpr uint64_t kGoodForNs = UsageWindow::kSampleNs / 5;
  const uint64_t now_ns = loop_.now_ns();
  if (now_ns >= borrowed_until_ns_) {
    borrowed_until_ns_ = now_ns + kGoodForNs;
    borrowed_.clear();
    for (const auto& [id, slice] : ledger_.slices()) {
      for (uint32_t i = 0; i < slice.devices.size(); ++i) {
        const uint32_t had = told_permille(id, i);
        borrowed_[slice.devices[i].gpu] += had - std::min(had, compute_.entitled_permille(id, i));
      }
    }
  }
  const auto found = borrowed_.find(gpu);
  return found == borrowed_.end() ? 0 : found->second;
}

}  // namespace tessera::node
