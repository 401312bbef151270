#include "node/copy_broker.h"

#include <algorithm>

namespace tessera::node {
namespace {

struct Copied {
  uint64_t bytes = 0;
  bool held = false;
  uint64_t processes = 0;  // that copied
};

Copied copied(const CopyBroker::Part& part, const std::map<LeaseId, CopyValues>& counted, size_t way) {
  Copied copied;
  for (const auto& [lease, now] : part.processes) {
    const auto then = counted.find(lease);
    if (then == counted.end()) continue;  // what it copied before anybody looked says nothing
    // A process may count what it likes; backwards is nothing.
    const uint64_t bytes = now.bytes[way] - std::min(then->second.bytes[way], now.bytes[way]);
    const bool held = now.waits[way] != then->second.waits[way];
    copied.bytes += bytes;
    copied.held |= held;
    copied.processes += bytes != 0 || held ? 1 : 0;
  }
  return copied;
}

}  // namespace

void CopyBroker::set_watched(const std::set<uint32_t>& gpus) {
  std::erase_if(gpus_, [&](const auto& entry) { return !gpus.contains(entry.first); });
  for (const uint32_t gpu : gpus) gpus_.try_emplace(gpu);
}

std::optional<uint64_t> CopyBroker::next_deadline_ns() const {
  std::optional<uint64_t> next;
  for (const auto& [index, gpu] : gpus_)
    if (!next || gpu.next_ns < *next) next = gpu.next_ns;
  return next;
}

std::vector<uint32_t> CopyBroker::due(uint64_t now_ns) const {
  std::vector<uint32_t> due;
  for (const auto& [index, gpu] : gpus_)
    if (gpu.next_ns <= now_ns) due.push_back(index);
  return due;
}

std::vector<GrantMapping::CopyRates> CopyBroker::share(uint32_t index, std::span<const Part> parts,
                                                       uint64_t now_ns) {
  Gpu& gpu = gpus_.at(index);
  std::vector<GrantMapping::CopyRates> rates(parts.size());
  bool contended = false;
  for (size_t way = 0; way < vgpu::kHostCopies; ++way) {
    std::vector<memory::CopyShares::Tenant> tenants;
    std::vector<uint64_t> processes;
    for (const Part& part : parts) {
      const Copied had = copied(part, gpu.counted, way);
      tenants.push_back({part.slice, part.terms, had.bytes, had.held});
      processes.push_back(std::max<uint64_t>(had.processes, 1));
    }
    const std::vector<uint64_t> shares =
        gpu.shares[way].round(tenants, now_ns - std::min(gpu.then_ns, now_ns));
    for (size_t i = 0; i < shares.size(); ++i)
      rates[i][way] =
          shares[i] == memory::CopyShares::kUnlimited ? vgpu::kAnyCopyRate : shares[i] / processes[i];
    contended |= gpu.shares[way].contended();
  }
  gpu.counted.clear();
  for (const Part& part : parts) gpu.counted.insert(part.processes.begin(), part.processes.end());
  gpu.then_ns = now_ns;
  gpu.next_ns = now_ns + (contended ? memory::CopyShares::kRoundNs : kLookNs);
  return rates;
}

}  // namespace tessera::node
