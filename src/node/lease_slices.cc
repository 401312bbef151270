// LeaseService's slices: how they begin, change and end.
#include "common/log.h"
#include "common/size.h"
#include "common/strings.h"
#include "node/lease_service.h"

namespace tessera::node {

LeaseService::SliceRecord LeaseService::new_record(GrantMapping grants, const Slice& slice) const {
  const size_t devices = slice.devices.size();
  std::vector<memory::WorkingSet> needs(devices, memory::WorkingSet(working_set_window_ns_));
  for (size_t i = 0; i < devices; ++i) {
    if (slice.devices[i].need_bytes) needs[i].restore(*slice.devices[i].need_bytes);
  }
  return {std::move(grants),
          std::vector<DeviceUsage>(devices),
          0,
          {},
          std::vector<UsageWindow>(devices),
          /*heard_ns=*/0,
          std::vector<SliceRecord::Pressure>(devices),
          std::move(needs),
          {}};
}

Result<SliceId> LeaseService::open_slice(const SliceRequest& request) {
  TESSERA_RETURN_IF_ERROR(check_tenant(request.owner, tenant_name(request)));
  measure_needs();
  TESSERA_ASSIGN_OR_RETURN(GrantMapping grants, GrantMapping::create());
  TESSERA_ASSIGN_OR_RETURN(SliceId id, ledger_.open_slice(request, loop_.now_ns()));
  const Slice& slice = *ledger_.find_slice(id);
  slices_.emplace(id, new_record(std::move(grants), slice));
  GateOrders orders;
  Status scheduled = compute_.add_slice(slice, loop_.now_ns(), orders);
  apply(orders);
  if (!scheduled.ok()) {
    slices_.erase(id);
    ledger_.release_slice(id);
    if (ledger_.find_slice(id) != nullptr) ledger_.drop_holder(id);
    return scheduled;
  }
  isolate_tenants(loop_.now_ns());
  publish_terms(id);
  publish_memory_terms(id);
  settle_lending();
  save();
  LOG_INFO("slices", "'%s' opened: %zu GPU(s), GPU %u, %s%s", slice.name.c_str(), slice.devices.size(),
           slice.devices[0].gpu, format_size(slice.devices[0].limit_bytes).c_str(),
           slice.devices[0].reserved ? "" : " (not reserved)");
  tell(monitoring::Severity::kInfo, "slice_opened", slice.name,
       str_format("GPU %u, %s%s", slice.devices[0].gpu, format_size(slice.devices[0].limit_bytes).c_str(),
                  slice.devices[0].reserved ? "" : " (not reserved)"),
       {{"gpu", uint64_t{slice.devices[0].gpu}},
        {"limit_bytes", slice.devices[0].limit_bytes},
        {"reserved", uint64_t{slice.devices[0].reserved}}});
  return id;
}

void LeaseService::publish_terms(SliceId id) {
  const Slice& slice = *ledger_.find_slice(id);
  GrantMapping& grants = slices_.at(id).grants;
  for (size_t i = 0; i < slice.devices.size(); ++i) {
    grants.set_limit(i, slice.devices[i].limit_bytes, slice.devices[i].lowered);
    grants.set_gate_copies(i, slice.devices[i].compute.gate_copies);
  }
}

Status LeaseService::set_limit(SliceId id, std::optional<uint32_t> gpu, uint64_t bytes) {
  measure_needs();
  TESSERA_RETURN_IF_ERROR(ledger_.set_limit(id, gpu, bytes));
  // Before the recalls: what a process frees from now on it gives back by itself.
  publish_terms(id);
  Effects effects;
  broker_.limits_changed(id, loop_.now_ns(), effects);
  settle_lending(effects);
  save();
  apply(effects);
  LOG_INFO("slices", "'%s': limit set to %s", ledger_.find_slice(id)->name.c_str(),
           format_size(bytes).c_str());
  tell(monitoring::Severity::kInfo, "slice_changed", ledger_.find_slice(id)->name,
       "memory limit " + format_size(bytes), {{"limit_bytes", bytes}});
  return Status();
}

void LeaseService::set_gpu_facts(std::vector<GpuFacts> facts) {
  std::vector<uint32_t> counts;
  std::set<uint32_t> unstoppable, kept;
  // Where the driver keeps nobody to some of them there are none to part, whatever a process says of its
  // width.
  for (const GpuFacts& gpu : facts) {
    const auto index = static_cast<uint32_t>(counts.size());
    if (!gpu.stops_kernels()) unstoppable.insert(index);
    if (gpu.control == partitioning::SmControl::kPortions) kept.insert(index);
    counts.push_back(gpu.control == partitioning::SmControl::kNone ? 0 : gpu.sm_count);
  }
  compute_.set_gpu_sms(std::move(counts));
  compute_.set_unstoppable(std::move(unstoppable));
  compute_.set_unlendable(std::move(kept));
  ledger_.set_gpu_facts(std::move(facts));
}

Result<bool> LeaseService::release_slice(SliceId id, bool when_unused) {
  const Slice& slice = *ledger_.find_slice(id);
  const std::string name = slice.name;
  if (!slice.kept) {
    return Status(Code::kFailedPrecondition, "slice '" + name + "' ends with its program; nothing keeps it");
  }
  if (!slice.leases.empty() && !when_unused) {
    return Status::error(
        Code::kFailedPrecondition,
        "slice '%s' has %zu processes; end them, or say --when-unused to delete it after the last",
        name.c_str(), slice.leases.size());
  }
  if (slice.leases.empty() && !slice.held) look_before_end(slice);
  const bool ended = ledger_.release_slice(id);
  if (ended) forget_slice(id, name);
  save();
  return ended;
}

void LeaseService::look_before_end(const Slice& slice) {
  if (last_look_) last_look_(slice);
}

void LeaseService::drop_holder(SliceId slice) {
  const Slice& held = *ledger_.find_slice(slice);
  const std::string name = held.name;
  if (!held.kept && held.leases.empty()) look_before_end(held);
  release_holder(slices_.at(slice));
  if (ledger_.drop_holder(slice)) forget_slice(slice, name);
  save();
}

void LeaseService::forget_slice(SliceId slice, const std::string& name) {
  auto record = slices_.find(slice);
  for (Connection* observer : record->second.observers) {
    observer->observed_slice = 0;
    observer->mark_closing();
  }
  release_holder(record->second);
  slices_.erase(record);
  residency_.forget_terms(slice);
  settle_lending();
  GateOrders orders;
  compute_.remove_slice(slice, loop_.now_ns(), orders);
  apply(orders);
  LOG_INFO("slices", "'%s' ended", name.c_str());
  tell(monitoring::Severity::kInfo, "slice_ended", name, "");
}

}  // namespace tessera::node
