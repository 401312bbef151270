// LeaseService's sums: what slices use and have used, and with what their processes failed.
#include <algorithm>
#include <utility>

#include "common/strings.h"
#include "node/lease_service.h"

namespace tessera::node {

void DeviceUsage::add_counts(const CounterValues& values) {
  add(values);
  faults += values.fault != 0 ? 1 : 0;
}

CounterValues LeaseService::lease_usage(const Lease& lease, size_t index) const {
  const LeaseDevice& device = lease.devices[index];
  return leases_.at(lease.id).counters.read(index, device.granted_bytes, device.peak_granted_bytes);
}

void LeaseService::update_peaks(SliceId id) { usage(id); }

SliceUsage LeaseService::usage(SliceId id) {
  SliceRecord& record = slices_.at(id);
  SliceUsage total{record.ended, record.processes};
  for (LeaseId lease : ledger_.find_slice(id)->leases) {
    for (size_t i = 0; i < total.devices.size(); ++i) {
      CounterValues values = lease_usage(*ledger_.find_lease(lease), i);
      DeviceUsage& device = total.devices[i];
      device.used_bytes += values.used_bytes;
      device.peak_bytes = std::max(device.peak_bytes, values.peak_bytes);
      device.add_counts(values);
      device.resident_bytes += residency_.resident_bytes(lease, static_cast<uint32_t>(i));
      device.out_bytes += values.out_bytes;
      device.swap_host_bytes += values.swap_host_bytes;
      device.swap_file_bytes += values.swap_file_bytes;
      device.swap_neighbour_bytes += values.swap_neighbour_bytes;
      if (values.fault != 0) device.fault = values.fault;
    }
  }
  for (size_t i = 0; i < total.devices.size(); ++i) {
    DeviceUsage& device = total.devices[i];
    device.memory_wait_ns = memory_wait_ns(id, i);
    device.peak_bytes = std::max(device.peak_bytes, device.used_bytes);
    record.ended[i].peak_bytes = device.peak_bytes;
  }
  return total;
}

// Processes that fail together count as one: one a slice, in one that stays one until it was without any.
void LeaseService::note_fault(SliceId id, size_t device, uint64_t fault) {
  if (fault == 0) return;
  SliceRecord& record = slices_.at(id);
  record.ended[device].fault = fault;
  if (std::exchange(record.failed, true)) return;
  const Slice& slice = *ledger_.find_slice(id);
  const uint64_t now_ns = loop_.now_ns();
  tell(monitoring::Severity::kWarning, "program_failed", slice.name,
       str_format("CUDA error %llu on the GPU", static_cast<unsigned long long>(fault)), {{"error", fault}});
  faults_.faulted(slice.owner, slice.tenant, fault, now_ns);
  isolate_tenants(now_ns);
}

void LeaseService::isolate_tenants(uint64_t now_ns) {
  // Mostly nobody keeps failing, and nobody did the last time.
  const bool may_isolate = !faults_.records().empty();
  if (!std::exchange(may_isolate_, may_isolate) && !may_isolate) return;
  GateOrders orders;
  for (const auto& [id, slice] : ledger_.slices()) {
    compute_.set_isolated(id, faults_.isolated(slice.owner, slice.tenant, now_ns), now_ns, orders);
  }
  apply(orders);
}

Status LeaseService::check_tenant(uid_t user, const std::string& name) const {
  return refuses_faulty_ ? faults_.check(user, name, loop_.now_ns()) : Status();
}

bool LeaseService::forgive_tenant(const std::string& name) {
  if (!faults_.forgive(name)) return false;
  isolate_tenants(loop_.now_ns());
  save();
  return true;
}

}  // namespace tessera::node
