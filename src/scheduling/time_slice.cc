#include "scheduling/time_slice.h"

#include <algorithm>
#include <string>

namespace tessera::scheduling {

Nanoseconds AdaptiveSlice::round_ns(size_t tenants) const {
  const Nanoseconds switches = limits_.switch_ns * tenants;
  const Nanoseconds cheap = std::min(switches * kSwitchesCost, limits_.longest_round_ns);
  return std::max({limits_.round_ns, cheap, switches * kSwitchesCostAtMost});
}

Nanoseconds AdaptiveSlice::slice_ns(const Tenant& tenant, const Rivals& rivals) const {
  const uint64_t own = std::max<uint64_t>(tenant.effective_weight, 1);
  const Nanoseconds part = scaled(round_ns(rivals.count), own, std::max(rivals.weights, own));
  const Nanoseconds slice = std::clamp(part, limits_.shortest_ns, limits_.longest_ns);
  const Nanoseconds kernel = tenant.kernel_ns;
  if (!limits_.whole_kernels || kernel == 0 || kernel > limits_.longest_ns) return slice;
  return std::min((slice + kernel - 1) / kernel * kernel, limits_.longest_ns);
}

Result<std::unique_ptr<SlicePolicy>> make_slice_policy(std::string_view name, const SliceLimits& limits) {
  if (limits.shortest_ns == 0 || limits.longest_ns < limits.shortest_ns) {
    return Status(Code::kInvalidArgument,
                  "time slices: the longest must be at least the shortest, and that above 0");
  }
  if (name == "adaptive") return std::unique_ptr<SlicePolicy>(new AdaptiveSlice(limits));
  if (name == "fixed") return std::unique_ptr<SlicePolicy>(new FixedSlice(limits.shortest_ns));
  return Status::error(Code::kInvalidArgument, "no time slice \"%s\"; there are: adaptive, fixed",
                       std::string(name).c_str());
}

}  // namespace tessera::scheduling
