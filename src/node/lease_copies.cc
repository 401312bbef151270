// LeaseService's shares of copies: whose are looked at, and what their processes may copy.
#include "node/lease_service.h"

namespace tessera::node {
namespace {

RateTerms copy_terms(const partitioning::MemoryTerms& terms) {
  return {terms.copy_min, terms.copy_max == 0 ? UINT64_MAX : terms.copy_max, terms.weight};
}

}  // namespace

void LeaseService::watch_copies() {
  std::map<uint32_t, size_t> slices;  // with processes, by GPU
  std::set<uint32_t> weighted, watched;
  for (const auto& [id, slice] : ledger_.slices()) {
    if (slice.leases.empty()) continue;
    for (const SliceDevice& device : slice.devices) {
      ++slices[device.gpu];
      if (device.memory.shares_copies()) weighted.insert(device.gpu);
      if (device.memory.copy_max != 0) watched.insert(device.gpu);
    }
  }
  for (const uint32_t gpu : weighted)
    if (slices.at(gpu) > 1) watched.insert(gpu);
  for (const auto& [id, slice] : ledger_.slices()) {
    for (size_t i = 0; i < slice.devices.size(); ++i) {
      const uint32_t gpu = slice.devices[i].gpu;
      if (copies_.is_watched(gpu) && !watched.contains(gpu)) slices_.at(id).grants.set_copy_rates(i, {});
    }
  }
  copies_.set_watched(watched);
}

void LeaseService::share_copies(uint64_t now_ns) {
  for (const uint32_t gpu : copies_.due(now_ns)) share_copies(gpu, now_ns);
}

void LeaseService::share_copies(uint32_t gpu, uint64_t now_ns) {
  std::vector<CopyBroker::Part> parts;
  for (const auto& [id, slice] : ledger_.slices()) {
    for (uint32_t i = 0; i < slice.devices.size(); ++i) {
      const SliceDevice& device = slice.devices[i];
      if (device.gpu != gpu) continue;
      CopyBroker::Part part{id, i, copy_terms(device.memory), {}};
      for (const LeaseId lease : slice.leases)
        part.processes.emplace(lease, leases_.at(lease).counters.read_copies(i));
      parts.push_back(std::move(part));
    }
  }
  const std::vector<GrantMapping::CopyRates> rates = copies_.share(gpu, parts, now_ns);
  for (size_t i = 0; i < parts.size(); ++i)
    slices_.at(parts[i].slice).grants.set_copy_rates(parts[i].device, rates[i]);
}

}  // namespace tessera::node
