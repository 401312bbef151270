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
  Nanoseconds switch_ns = 20 * kMicrosecond;          // what handing over costs the GPU
  Nanoseconds round_ns = 40 * kMillisecond;           // in which everyone that waits should have its turn
  Nanoseconds longest_round_ns = 520 * kMillisecond;  // the same where they are many
  bool whole_kernels = true;                          // a kernel goes on beyond the end of a slice
};

// The tenants of a tenant's class or above that have work, itself included.
struct Rivals {
  uint64_t weights = 0;  // their effective ones together
  size_t count = 0;
};

class SlicePolicy {
 public:
  virtual ~SlicePolicy() = default;
  virtual Nanoseconds slice_ns(const Tenant& tenant, const Rivals& rivals) const = 0;
  // What handing over was found to cost.
  virtual void set_switch_ns(Nanoseconds) {}
};

// Always the same.
class FixedSlice : public SlicePolicy {
 public:
  explicit FixedSlice(Nanoseconds slice_ns) : slice_ns_(slice_ns) {}
  Nanoseconds slice_ns(const Tenant&, const Rivals&) const override { return slice_ns_; }

 private:
  Nanoseconds slice_ns_;
};

// A part of the round by its weight, so that each has one turn in it: equal turns, of which who is owed more
// gets several in a row, would keep the others waiting for all of these, and be given out anew within. The
// more there are, the longer is the round: handing over costs a hundredth of the GPU as long as the round
// stays within the longest, and never more than a twenty-fifth. Where a slice that ends within a kernel is
// overrun by the rest of it, the tenant's kernels should fit in whole numbers. Within the limits in any case.
class AdaptiveSlice : public SlicePolicy {
 public:
  static constexpr uint32_t kSwitchesCost = 100;
  static constexpr uint32_t kSwitchesCostAtMost = 25;

  explicit AdaptiveSlice(const SliceLimits& limits) : limits_(limits) {}
  Nanoseconds slice_ns(const Tenant& tenant, const Rivals& rivals) const override;
  void set_switch_ns(Nanoseconds ns) override { limits_.switch_ns = ns; }

 private:
  Nanoseconds round_ns(size_t tenants) const;

  SliceLimits limits_;
};

// "adaptive" or "fixed" (the shortest slice of the limits).
Result<std::unique_ptr<SlicePolicy>> make_slice_policy(std::string_view name, const SliceLimits& limits);

}  // namespace tessera::scheduling
