#include "node/swap_space.h"

#include <algorithm>
#include <numeric>

namespace tessera::node {

void SwapSpace::open(LeaseId lease, size_t devices) { leases_[lease].bytes.resize(devices); }

Status SwapSpace::attach(LeaseId lease, std::span<const uint64_t> bytes) {
  Held& held = leases_.at(lease);
  uint64_t all = used_ - std::accumulate(held.bytes.begin(), held.bytes.end(), uint64_t{0});
  for (const uint64_t each : bytes) {
    if (each > bound_ - all) {
      return Status(Code::kResourceExhausted,
                    "the process says that it has more of the host's memory than is left of it");
    }
    all += each;
  }
  held = {{bytes.begin(), bytes.end()}, true};
  used_ = all;
  return {};
}

void SwapSpace::close(LeaseId lease) {
  const auto found = leases_.find(lease);
  if (found == leases_.end()) return;
  const std::vector<uint64_t>& bytes = found->second.bytes;
  used_ -= std::accumulate(bytes.begin(), bytes.end(), uint64_t{0});
  leases_.erase(found);
}

Result<uint64_t*> SwapSpace::held(LeaseId lease, uint32_t device) {
  const auto found = leases_.find(lease);
  if (found == leases_.end())
    return Status(Code::kInvalidData, "the host's memory is not bounded: nothing is granted of it");
  if (device >= found->second.bytes.size())
    return Status::error(Code::kInvalidData, "device index %u is not in the slice", device);
  return &found->second.bytes[device];
}

Result<uint64_t> SwapSpace::reserve(LeaseId lease, const ReserveMessage& message, For what) {
  TESSERA_ASSIGN_OR_RETURN(uint64_t* const bytes, held(lease, message.device));
  const bool all_known =
      std::all_of(leases_.begin(), leases_.end(), [](const auto& entry) { return entry.second.known; });
  const uint64_t kept = what == For::kExchange ? 0 : std::min(kMostForExchanges, bound_ / 4);
  const uint64_t usable = bound_ - kept;
  const uint64_t left = usable - std::min(usable, used_);
  if (!all_known || message.bytes_needed > left) return uint64_t{0};
  const uint64_t granted = std::min(message.bytes_wanted, left);
  *bytes += granted;
  used_ += granted;
  return granted;
}

Status SwapSpace::release(LeaseId lease, uint32_t device, uint64_t bytes) {
  TESSERA_ASSIGN_OR_RETURN(uint64_t* const there, held(lease, device));
  if (bytes > *there) {
    return Status::error(Code::kInvalidData, "%llu bytes are given back, %llu were granted",
                         static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(*there));
  }
  *there -= bytes;
  used_ -= bytes;
  return {};
}

}  // namespace tessera::node
