// Who may use one GPU now. Pure: it is told what happens and when, and answers with grants; the daemon
// enforces them, the simulator checks them.
//
// A tenant that has work is given the GPU (or its width of it) for a quantum. Who is next is decided by tier:
//   starving   waited longer than the starvation bound of its class; the one that has waited longest first
//   owed       has a promised share, and has been kept from half a burst of it
//   its class  realtime, high, normal, low, idle; within a class by the order policy (order/)
// A tenant with a promised share has its class's precedence as long as the share's credit lasts, and is at
// most normal beyond it: priority is for latency, the share says how much. A tenant over its ceiling waits
// whatever else is free.
//
// Where all tenants of a class have work, each gets its weight: one with a share its share, the others part
// what the shares leave over by their weights. What one does not use is everybody's, by the same weights:
// nothing idles while someone may run.
//
// A tenant with a target for its waits that has waited half of it ends the grants in its way of those of its
// class that are not ahead of it in the class's order, once they have lasted a shortest slice. So a target is
// met by who uses less than its weight allows; the weight, that a QosController raises, says how much that
// is.
//
// A tenant whose width is its own runs whenever it has work and no ceiling keeps it: nobody makes room for it
// or in it.
//
// A tenant that needs more width than is free is waited for: until it fits, others get what is free only for
// as long as the grants last that are in its way.
//
// What a tenant has used is its time times its width; and its time as a whole while somebody waits that does
// not fit beside it, if it was its turn. The order within a class goes by the latter alone: where nobody
// waits, and for what would have idled, nobody owes anything. So those that do not fit lose nothing to those
// that run side by side: each has at least the time that turns would give it, and to say a width that is less
// than one's own saves nothing where it matters. A ceiling counts the time whole in any case: what it lets
// run does not depend on who else is there.
//
// A grant without competition is open (until_ns == kNever); competition closes it one quantum after it comes
// up. A tenant of a more urgent class ends the grants of less urgent ones that are in its way at once.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "scheduling/order/order_policy.h"
#include "scheduling/share_bucket.h"
#include "scheduling/tenant.h"
#include "scheduling/time_slice.h"

namespace tessera::scheduling {

struct SchedulerConfig {
  std::string order = "weighted-fair";
  std::string slice = "adaptive";
  SliceLimits limits;
  // Ten times as long for the idle class. A tenant whose fair turn comes later has twice the time between its
  // turns, but no more than ten times this.
  Nanoseconds starvation_ns = 500 * kMillisecond;
  Nanoseconds burst_ns = 100 * kMillisecond;  // whose part by the share (or ceiling) may be used at one go
};

enum class Tier : uint8_t { kStarving, kOwed, kRealtime, kHigh, kNormal, kLow, kIdle };

struct Grant {
  TenantId tenant;
  Tier tier;  // why it was given
  uint32_t width_permille;
  Nanoseconds since_ns;
  Nanoseconds until_ns;  // kNever while nobody else wants the GPU
  bool fills_gap;        // somebody was before it, and did not fit
};

class DeviceScheduler {
 public:
  static constexpr size_t kMaxTenants = 4096;

  static Result<std::unique_ptr<DeviceScheduler>> create(const SchedulerConfig& config);
  virtual ~DeviceScheduler() = default;

  Result<TenantId> add(const TenantSpec& spec, Nanoseconds now);
  virtual void remove(TenantId id, Nanoseconds now);
  Status update(TenantId id, const TenantSpec& spec, Nanoseconds now);
  // A part of the GPU's width is the tenant's own from now on, and it runs there whatever others do; 0: it
  // takes turns with all that have none of their own, as at first.
  void set_own_width(TenantId id, uint32_t permille, Nanoseconds now);
  // TenantSpec::width_permille as it was found to be. A grant goes on with it where there is room.
  void set_width(TenantId id, uint32_t permille, Nanoseconds now);
  // What those share: a tenant's width is a part of it. At first the whole GPU.
  void set_shared_width(uint32_t permille);
  // What handing the GPU over was found to cost it.
  void set_switch_ns(Nanoseconds ns);
  // Of the weight, 1000 is neutral; the QoS manager's lever.
  void set_boost(TenantId id, uint32_t permille);

  // It has work; more than one call is no harm.
  virtual void wake(TenantId id, Nanoseconds now);
  // It has none left: its grant ends.
  virtual void sleep(TenantId id, Nanoseconds now);
  // Measured GPU time since the last call, and how many kernels that were.
  virtual void charge(TenantId id, Nanoseconds busy_ns, uint32_t kernels, Nanoseconds now);

  // Brings the grants up to date. They stay as they are until something above happens or next_decision_ns()
  // comes.
  virtual const std::vector<Grant>& decide(Nanoseconds now);
  const std::vector<Grant>& grants() const { return grants_; }
  Nanoseconds next_decision_ns() const;

  const Tenant& tenant(TenantId id) const { return slots_[id].tenant; }
  // How long it has had grants, and had work without one (but for its ceiling), ever; and the wait it is in.
  struct Times {
    Nanoseconds granted_ns, waited_ns, waits_for_ns;
  };
  Times times(TenantId id, Nanoseconds now) const;
  // Whether a ceiling keeps it from running now.
  bool throttled(TenantId id) const { return slots_[id].throttled; }
  const SchedulerConfig& config() const { return config_; }
  bool anyone_else_runnable(TenantId id) const {
    return runnable_.size() > (slots_[id].tenant.runnable ? 1 : 0);
  }
  Nanoseconds starvation_bound(TenantId id) const;

 protected:
  struct Slot {
    bool in_use = false;
    Tenant tenant;
    PriorityClass queued_in = PriorityClass::kNormal;  // the class whose order policy ranks it
    bool granted = false;
    bool throttled = false;   // used its ceiling up
    bool over_share = false;  // used its share's credit up
    uint32_t own_width = 0;   // in thousandths of the GPU; 0: it takes turns
    // Its grants since it was last charged: how long, for how much of that it pays whole, and times the width
    // to be charged.
    Nanoseconds had_ns = 0;
    Nanoseconds had_whole_ns = 0;
    uint64_t had_width_ns = 0;
    // What these came to, in thousandths, when it was last charged.
    uint32_t whole_part = kWhole;
    uint32_t charged_width = kWhole;
    ShareBucket ceiling;
    ShareBucket credit;
  };

  explicit DeviceScheduler(const SchedulerConfig& config) : config_(config) {}
  Status make_policies();

  // The steps of decide(), virtual so that the simulator's tests can plant bugs in each.
  virtual void end_expired(Nanoseconds now);
  virtual void refresh(TenantId id, Nanoseconds now);
  virtual bool fits(const Slot& slot) const { return slot.tenant.spec.width_permille <= free_width_; }
  virtual Nanoseconds waited_ns(const Slot& slot, Nanoseconds now) const;
  virtual bool pays_whole(const Grant& grant, bool others_wait) const;

  Tier tier_of(const Slot& slot, Nanoseconds now) const;
  PriorityClass class_of(const Slot& slot) const;
  OrderPolicy& order(const Slot& slot) const { return *orders_[static_cast<size_t>(slot.queued_in)]; }
  Slot& slot(TenantId id) { return slots_[id]; }
  void end_grant(TenantId id, Nanoseconds now);

 private:
  struct Place {  // in the order in which tenants get the GPU
    Tier tier;
    uint64_t rank;
    Nanoseconds last_served;
    TenantId tenant;
    auto operator<=>(const Place&) const = default;
  };

  void reset_buckets(Slot& slot, Nanoseconds now) const;
  void recompute_weights();
  void preempt(Nanoseconds now);
  bool gives_way(const Grant& grant, Tier tier) const;
  bool can_make_room(const Slot& urgent, Tier tier) const;
  void make_room_in_time(Nanoseconds now);
  Nanoseconds due_against(const Slot& waiting, const Grant& grant) const;
  bool may_go_before(const Slot& waiting, const Grant& grant, Nanoseconds now) const;
  Nanoseconds due_ns(const Slot& waiting) const;
  void end_wait(Slot& slot, Nanoseconds now);
  uint32_t lane_permille(const Slot& slot) const {
    return slot.own_width != 0 ? slot.own_width : shared_width_;
  }
  void note_grants(Nanoseconds now);
  void grant_own(Nanoseconds now);
  bool grant_next(Nanoseconds now);
  std::optional<Place> first_waiting(Nanoseconds now, bool only_fitting) const;
  void give(const Place& place, Nanoseconds now, Nanoseconds until_ns, bool fills_gap = false);
  void close_open_grants(Nanoseconds now);
  bool spent(const ShareBucket& bucket, bool was_spent) const;
  // Worth a hand-over, as slices are.
  int64_t resume_ns() const {
    return static_cast<int64_t>(
        std::max(config_.limits.shortest_ns, config_.limits.switch_ns * (AdaptiveSlice::kSwitchesCost / 2)));
  }
  Place place_of(TenantId id, Nanoseconds now) const;
  Nanoseconds quantum_end(const Slot& slot, Nanoseconds now) const;
  bool anyone_waits() const;
  Nanoseconds forward(Nanoseconds now);

  SchedulerConfig config_;
  std::unique_ptr<SlicePolicy> slice_;
  std::array<std::unique_ptr<OrderPolicy>, kPriorityClasses> orders_;
  std::vector<Slot> slots_;
  std::vector<TenantId> runnable_;  // with or without a grant
  uint64_t runnable_weight_ = 0;    // their effective weights together
  std::vector<Grant> grants_;
  uint32_t free_width_ = kWhole;    // of what is shared
  uint32_t shared_width_ = kWhole;  // of the GPU
  Nanoseconds now_ = 0;             // the latest that was told, see elapsed()
  Nanoseconds decided_at_ = 0;
  Nanoseconds noted_at_ = 0;
};

// How a simulator gets its schedulers: tests plant bugs in theirs.
using MakeScheduler = std::function<Result<std::unique_ptr<DeviceScheduler>>(const SchedulerConfig&)>;

}  // namespace tessera::scheduling
