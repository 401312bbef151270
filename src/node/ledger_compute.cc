// The ledger's pages about the GPUs' time: which shares are promised.
#include <cassert>

#include "node/ledger.h"

namespace tessera::node {

uint32_t Ledger::unpromised_permille(uint32_t gpu) const {
  uint32_t promised = 0;
  for (const auto& [id, slice] : slices_) {
    for (const SliceDevice& device : slice.devices) {
      if (device.gpu == gpu) promised += device.compute.share_permille;
    }
  }
  assert(promised <= scheduling::kWhole);
  return scheduling::kWhole - promised;
}

// `own` gives up its share for the wanted one.
Status Ledger::check_share(uint32_t gpu, const SliceDevice* own, uint32_t wanted_permille) const {
  const uint32_t left = unpromised_permille(gpu) + (own != nullptr ? own->compute.share_permille : 0);
  if (wanted_permille <= left) return Status();
  return Status::error(Code::kResourceExhausted,
                       "%.1f %% of GPU %u's compute asked for, %.1f %% is not promised yet; take another "
                       "GPU, or a smaller share",
                       wanted_permille / 10.0, gpu, left / 10.0);
}

Status Ledger::set_compute(SliceId id, std::optional<uint32_t> gpu, const ComputeChange& change) {
  Slice& slice = slices_.at(id);
  std::vector<std::pair<SliceDevice*, scheduling::TenantSpec>> changes;
  for (SliceDevice& device : slice.devices) {
    if (gpu && device.gpu != *gpu) continue;
    scheduling::TenantSpec spec = device.compute;
    TESSERA_RETURN_IF_ERROR(change(spec));
    TESSERA_RETURN_IF_ERROR(check_spec(spec));
    TESSERA_RETURN_IF_ERROR(check_share(device.gpu, &device, spec.share_permille));
    changes.emplace_back(&device, spec);
  }
  if (changes.empty()) {
    return Status::error(Code::kNotFound, "slice '%s' has no part of GPU %u", slice.name.c_str(), *gpu);
  }
  for (auto& [device, spec] : changes) device->compute = spec;
  touched_.slices.insert(id);
  return Status();
}

}  // namespace tessera::node
