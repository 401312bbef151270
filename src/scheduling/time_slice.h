// How long a tenant keeps the GPU while others wait.
#pragma once

#include <memory>
#include <string_view>

#include "common/status.h"
#include "scheduling/tenant.h"

namespace tessera::scheduling {

struct SliceLimits {
  Nanoseconds shortest_ns = kMillisecond;
  Nanoseconds longest_ns = 50 * kMillisecond;
  Nanoseconds switch_ns = 20 * kMicrosecond;  // what handing over costs the GPU
  Nanoseconds round_ns = 40 * kMillisecond;   // in which everyone that waits should have its turn
};

class SlicePolicy {
 public:
  virtual ~SlicePolicy() = default;
  // `weights`: the effective ones of the tenants of its class or above that have work, its own included.
  virtual Nanoseconds slice_ns(const Tenant& tenant, uint64_t weights) const = 0;
};

// Always the same.
class FixedSlice : public SlicePolicy {
 public:
  explicit FixedSlice(Nanoseconds slice_ns) : slice_ns_(slice_ns) {}
  Nanoseconds slice_ns(const Tenant&, uint64_t) const override { return slice_ns_; }

 private:
  Nanoseconds slice_ns_;
};

// A part of the round by its weight, so that each has one turn in it: equal turns, of which who is owed more
// gets several in a row, would keep the others waiting for all of these, and be given out anew within. But
// long enough that handing over costs at most a fiftieth, and that the tenant's kernels fit in whole numbers:
// a slice that ends within a kernel is overrun by the rest of it. Within the limits in any case.
class AdaptiveSlice : public SlicePolicy {
 public:
  static constexpr uint32_t kSwitchesCostAtMost = 50;

  explicit AdaptiveSlice(const SliceLimits& limits) : limits_(limits) {}
  Nanoseconds slice_ns(const Tenant& tenant, uint64_t weights) const override;

 private:
  SliceLimits limits_;
};

// "adaptive" or "fixed" (the shortest slice of the limits).
Result<std::unique_ptr<SlicePolicy>> make_slice_policy(std::string_view name, const SliceLimits& limits);

}  // namespace tessera::scheduling
