#include "partitioning/gpu_state.h"

#include <algorithm>

#include "scheduling/time.h"

namespace tessera::partitioning {

using scheduling::kWhole;

uint64_t GpuState::unreserved_bytes() const {
  uint64_t left = memory_bytes;
  // A slice may hold more than was left when its limit was set.
  for (const Part& part : parts) left -= std::min(left, part.reserved_bytes);
  return left;
}

IndexSet GpuState::shared_sms() const {
  IndexSet shared = IndexSet::below(sm_count);
  for (const Part& part : parts) shared -= part.sms;
  return shared;
}

uint32_t GpuState::shared_permille() const { return permille_of_sms(shared_sms().count()); }

uint32_t GpuState::permille_of_sms(uint32_t count) const {
  return sm_count == 0 ? kWhole : (count * kWhole + sm_count - 1) / sm_count;
}

uint32_t GpuState::promised_in_time_permille() const {
  uint32_t promised = 0;
  for (const Part& part : parts) promised += part.sms.empty() ? part.share_permille : 0;
  return promised;
}

uint32_t GpuState::unpromised_permille() const {
  return shared_permille() - std::min(shared_permille(), promised_in_time_permille());
}

bool GpuState::has_parts_in_time() const {
  return std::any_of(parts.begin(), parts.end(), [](const Part& part) { return part.sms.empty(); });
}

}  // namespace tessera::partitioning
