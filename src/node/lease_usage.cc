// LeaseService's sums: what slices use and have used, and with what their processes failed.
#include <algorithm>

#include "node/lease_service.h"

namespace tessera::node {

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
      device.refusals += values.refusals;
      device.allocations += values.allocations;
      device.launches += values.launches;
      device.busy_ns += values.busy_ns;
      device.kernels += values.kernels;
      if (values.fault != 0) device.fault = values.fault;
    }
  }
  for (size_t i = 0; i < total.devices.size(); ++i) {
    DeviceUsage& device = total.devices[i];
    device.peak_bytes = std::max(device.peak_bytes, device.used_bytes);
    record.ended[i].peak_bytes = device.peak_bytes;
  }
  return total;
}

// One a slice: processes that fail together count as one.
void LeaseService::note_fault(SliceId id, std::vector<DeviceUsage>& ended, size_t device, uint64_t fault) {
  if (fault == 0) return;
  const bool first =
      std::all_of(ended.begin(), ended.end(), [](const DeviceUsage& use) { return use.fault == 0; });
  ended[device].fault = fault;
  const Slice& slice = *ledger_.find_slice(id);
  if (first) faults_.faulted(slice.owner, slice.tenant, fault, loop_.now_ns());
}

}  // namespace tessera::node
