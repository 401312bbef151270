// LeaseService's lending of GPUs' idle memory to processes of others, for what has left theirs.
#include <algorithm>

#include "common/log.h"
#include "common/strings.h"
#include "node/lease_service.h"

namespace tessera::node {

// Encrypted is what leaves a GPU as the host knows it; on a GPU it could be read.
bool LeaseService::lends() const {
  return residency_.in_use() && swap_options_.neighbour_use != memory::NeighbourUse::kNever &&
         !swap_options_.encrypt;
}

std::optional<uint32_t> LeaseService::gpu_of(const std::string& uuid) const {
  const auto found = std::find(gpu_uuids_.begin(), gpu_uuids_.end(), uuid);
  if (uuid.empty() || found == gpu_uuids_.end()) return std::nullopt;
  return static_cast<uint32_t>(found - gpu_uuids_.begin());
}

// Those with most to lend first: processes ask in this order.
void LeaseService::name_neighbours(const Slice& slice, vgpu::AttachedReply& reply) const {
  if (!lends()) return;
  std::vector<uint32_t> others;
  for (uint32_t gpu = 0; gpu < gpu_uuids_.size(); ++gpu) {
    const bool own = std::any_of(slice.devices.begin(), slice.devices.end(),
                                 [&](const SliceDevice& device) { return device.gpu == gpu; });
    if (!own && ledger_.check_open(gpu).ok()) others.push_back(gpu);
  }
  std::stable_sort(others.begin(), others.end(), [&](uint32_t a, uint32_t b) {
    return neighbours_.idle_bytes(a) > neighbours_.idle_bytes(b);
  });
  others.resize(std::min(others.size(), vgpu::kMaxNeighbours));
  for (size_t i = 0; i < others.size(); ++i)
    gpu_uuids_[others[i]].copy(reply.neighbours[i], sizeof reply.neighbours[i] - 1);
}

Result<uint64_t> LeaseService::lend(LeaseId lease, const ReserveMessage& message) {
  const Slice& slice = *ledger_.find_slice(ledger_.find_lease(lease)->slice);
  const std::optional<uint32_t> gpu = gpu_of(message.neighbour);
  const bool own = std::any_of(slice.devices.begin(), slice.devices.end(),
                               [&](const SliceDevice& device) { return device.gpu == gpu; });
  if (!gpu || own) return Status(Code::kInvalidData, "a GPU that cannot lend it anything");
  return neighbours_.reserve(lease, message, *gpu);
}

void LeaseService::attach_neighbours(LeaseId lease, const ReattachMessage& held, Effects& effects) {
  std::vector<NeighbourRooms::Held> parts(held.neighbour_bytes.size());
  for (size_t i = 0; i < parts.size(); ++i)
    parts[i] = {gpu_of(held.neighbours[i]).value_or(NeighbourRooms::kNowhere), held.neighbour_bytes[i]};
  neighbours_.attach(lease, parts, loop_.now_ns(), effects);
}

// Of what slices are promised, or hold beyond that, nothing is lent; and nothing of a GPU that is closed, or
// where nothing is to be lent any more.
void LeaseService::settle_lending(Effects& effects) {
  if (!residency_.in_use()) return;
  const uint64_t now_ns = loop_.now_ns();
  std::vector<uint64_t> promised(gpu_uuids_.size());
  for (const auto& [id, slice] : ledger_.slices()) {
    for (const SliceDevice& device : slice.devices)
      promised.at(device.gpu) += std::max(device.limit_bytes, device.granted_bytes);
  }
  for (uint32_t gpu = 0; gpu < promised.size(); ++gpu) {
    const uint64_t capacity = residency_.capacity(gpu);
    const bool may_lend = lends() && ledger_.check_open(gpu).ok();
    const uint64_t taken =
        may_lend ? std::max(promised[gpu], residency_.resident_bytes_of_gpu(gpu)) : capacity;
    neighbours_.set_gpu(gpu, capacity, taken, now_ns, effects);
    residency_.set_lent(gpu, neighbours_.lent_bytes(gpu), neighbours_.coming_bytes(gpu), now_ns, effects);
  }
}

void LeaseService::settle_lending() {
  Effects effects;
  settle_lending(effects);
  apply(effects);
}

// It was lent on the condition that it comes back when it is wanted.
void LeaseService::end_overdue(uint64_t now_ns) {
  for (const NeighbourRooms::Overdue& overdue : neighbours_.overdue(now_ns)) {
    if (!residency_.is_waited_for(overdue.gpu) || !overdue_.insert(overdue.lease).second) continue;
    const Lease& lease = *ledger_.find_lease(overdue.lease);
    const std::string& name = ledger_.find_slice(lease.slice)->name;
    const auto pid = static_cast<int>(lease.process.pid);
    LOG_WARN("memory", "process %d of '%s' has not given back for %u s what GPU %u's own wait for", pid,
             name.c_str(), static_cast<unsigned>(NeighbourRooms::kReturnPatienceNs / 1'000'000'000),
             overdue.gpu);
    tell(monitoring::Severity::kCritical, "neighbour_kept", name,
         str_format("process %d does not give back memory of GPU %u", pid, overdue.gpu),
         {{"pid", static_cast<uint64_t>(pid)}, {"gpu", uint64_t{overdue.gpu}}});
    stop_process(overdue.lease);
  }
}

}  // namespace tessera::node
