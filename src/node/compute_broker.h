// Whose kernels run on which GPU now: the slices' gates, by the scheduler of each GPU. Pure: it is told what
// happened and what processes measured, and answers with orders for gates; the daemon carries them out.
//
// A slice is runnable while one of its processes has work. At most one gate of a GPU is Free: that of the
// only runnable slice, if it has no ceiling. It tells nothing, so all its processes count as working; when
// another slice wakes it gets a turn like everybody, and says whether it has work. Slices without work are
// Asleep: they announce some.
//
// A slice in space has SMs of its own and waits for nobody there; the others take turns on the rest. What
// idles is lent (partitioning/sm_lending.h), once its owner has had no work for kLendAfterNs, and is taken
// back at once.
//
// Slices in time whose kernels fit together by what their drivers measured (scheduling/co_execution.h) have
// their turns at once, each on as many SMs as it needs and no others (partitioning/sm_parting.h), so that
// nobody can have more than it is taken to need. Where nobody could run beside it a slice has all of them.
//
// A turn begins when the processes of the one before say that they have stopped, or have had kStopPatienceNs
// (where kernels cannot be stopped, as long as two of the slice's kernels besides, kLongestPatienceNs at
// most) to do so: two slices on the same SMs would each get half of the GPU's attention, and pay for all of
// it.
//
// Where kernels can be stopped the processes know how long their turn is, end it by themselves and say so: of
// the two wake-ups that the end of a turn costs the daemon, and of the time in which nobody runs, one half.
// It looks a little later at those who did not (kOwnEndPatienceNs).
//
// What processes report is believed up to the time that has gone by, and charged up to the time their turn
// lasted.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "node/gate_setting.h"
#include "node/ledger.h"
#include "partitioning/sm_lending.h"
#include "scheduling/co_execution.h"
#include "scheduling/device_scheduler.h"
#include "scheduling/qos/qos_controller.h"
#include "scheduling/switch_cost.h"

namespace tessera::node {

inline constexpr uint64_t kStopPatienceNs = 5'000'000;
inline constexpr uint64_t kLongestPatienceNs = 500'000'000;
// A program that waits for each kernel has no work for an instant again and again.
inline constexpr uint64_t kLendAfterNs = 2'000'000;
// How often slices that run side by side are heard, whatever else happens: whether they need more than they
// have.
inline constexpr uint64_t kCompanyLookNs = 20'000'000;

// How old what a process has reported may be: it does so where its turn ends, and now and then.
inline constexpr uint64_t kReportsLateNs = 500'000'000;

// A process that ends its turn by itself is not seen to be late before.
inline constexpr uint64_t kOwnEndPatienceNs = 1'000'000;

struct GateOrder {
  SliceId slice;
  uint32_t device;  // index in the slice
  GateSetting gate;
};
using GateOrders = std::vector<GateOrder>;

// Of one process on one device, since it attached.
struct ComputeFigures {
  uint64_t busy_ns = 0;
  uint64_t kernels = 0;
  uint64_t ready_ns = 0;
  uint64_t ready_sm_ns = 0;
};

class ComputeBroker {
 public:
  // What handing a GPU over from process to process costs until it is measured: two wake-ups and a message.
  static scheduling::SchedulerConfig default_config() {
    scheduling::SchedulerConfig config;
    config.limits.switch_ns = 120 * scheduling::kMicrosecond;
    return config;
  }
  explicit ComputeBroker(scheduling::SchedulerConfig config = default_config())
      : config_(std::move(config)) {}

  // How many SMs each GPU has, 0 where that is not known or the driver keeps nobody to some of them; for GPUs
  // without slices.
  void set_gpu_sms(std::vector<uint32_t> counts) { sm_counts_ = std::move(counts); }
  // Those whose driver cannot stop a kernel; none at first.
  void set_unstoppable(std::set<uint32_t> gpus) { unstoppable_ = std::move(gpus); }
  // Those whose driver gives a process its SMs for good; none at first.
  void set_unlendable(std::set<uint32_t> gpus) { unlendable_ = std::move(gpus); }

  // Whether slices may run side by side on what they share; before the first slice.
  void set_co_execution(bool on) { co_execution_ = on; }

  // All of a slice's devices, with what each was promised. Refused where a GPU has its most tenants.
  Status add_slice(const Slice& slice, uint64_t now_ns, GateOrders& orders);
  void remove_slice(SliceId slice, uint64_t now_ns, GateOrders& orders);
  // What it is promised from now on, and which SMs are its own; see SliceDevice.
  Status update(SliceId slice, uint32_t device, const SliceDevice& part, uint64_t now_ns, GateOrders& orders);

  void attach(SliceId slice, LeaseId lease, uint64_t now_ns, GateOrders& orders);
  // The process cannot be heard any more, though it lives: nothing is kept for it. It may attach again.
  void lose(SliceId slice, LeaseId lease, uint64_t now_ns, GateOrders& orders);
  void detach(SliceId slice, LeaseId lease, uint64_t now_ns, GateOrders& orders);

  // Notices of a process. `word` is of the order that they answer: Idle counts only while that is in force.
  void wake(SliceId slice, LeaseId lease, uint32_t device, uint64_t now_ns, GateOrders& orders);
  void idle(SliceId slice, LeaseId lease, uint32_t device, uint32_t word, uint64_t now_ns,
            GateOrders& orders);

  void stopped(SliceId slice, LeaseId lease, uint32_t device, uint32_t word, uint64_t now_ns,
               GateOrders& orders);

  // It runs beside no other slice in time from now on, or may again.
  void set_isolated(SliceId slice, bool isolated, uint64_t now_ns, GateOrders& orders);

  // What a process has measured by now; to be told before its notices, and of whoever runs before decide().
  void report(SliceId slice, LeaseId lease, uint32_t device, const ComputeFigures& figures, uint64_t now_ns);
  // Whose reports decide() wants: the processes whose turn it is.
  struct Running {
    SliceId slice;
    uint32_t device;
  };
  std::vector<Running> running() const;

  // Ends turns whose time is up.
  void decide(uint64_t now_ns, GateOrders& orders);
  std::optional<uint64_t> next_deadline_ns() const;

  vgpu::GateState state(SliceId slice, uint32_t device) const;
  // GPU time that it had, in ns of the whole GPU: the time it was busy, times the part of the SMs it could
  // use, as that was on the average since the process said so last.
  uint64_t used_ns(SliceId slice, uint32_t device) const { return member(slice, device).used_ns; }
  // What it was granted, in ns of the whole GPU: for how long its gate was Free, and for how long it had its
  // turn, with what its processes took to stop (within their patience); times the part of the SMs as above.
  struct Granted {
    uint64_t free_ns = 0;
    uint64_t turn_ns = 0;
  };
  Granted granted(SliceId slice, uint32_t device, uint64_t now_ns) const;
  // What the slice is entitled to where every slice of the GPU has work, in thousandths.
  uint32_t entitled_permille(SliceId slice, uint32_t device) const;
  // Its waits for turns, lately: from the notice that it has work, or the end of its turn, to the order to
  // run. A launch that finds the gate open waits for nothing and is not among them.
  scheduling::WaitHistogram waits(SliceId slice, uint32_t device, uint64_t now_ns) const;
  // Those that have ended, together, since it came to its GPU.
  uint64_t waited_ns(SliceId slice, uint32_t device) const;
  uint32_t boost_permille(SliceId slice, uint32_t device) const;
  // What handing the GPU over from slice to slice costs it, as its turns show; none: not known yet.
  std::optional<uint64_t> switch_ns(uint32_t gpu) const;
  struct Company {
    uint32_t width_sms = 0;  // that its kernels need; 0: not known yet, or all
    bool now = false;        // another slice has its turn at the same time, on other SMs of those they share
    uint64_t times = 0;      // that this began
  };
  Company company(SliceId slice, uint32_t device) const;

 private:
  struct Heard {
    ComputeFigures figures;
    uint64_t at_ns;
    uint64_t sm_ns;         // Member::sm_ns by then
    uint64_t spare_ns = 0;  // that had gone by, and was not reported as busy
  };
  struct Member {
    SliceId slice;
    uint32_t device;
    scheduling::TenantId tenant;
    uint32_t turn = 0;
    vgpu::GateState state = vgpu::GateState::kAsleep;
    uint64_t wants_since_ns = 0;  // its turn, while it has none and has work
    uint64_t turn_began_ns = 0;
    uint64_t turn_charged_ns = 0;
    uint64_t turn_ready_ns = 0;  // with a kernel ready; 0 where its driver does not measure it
    std::map<LeaseId, Heard> leases;
    std::set<LeaseId> working;
    std::set<LeaseId> stopping;                  // told to stop, and not heard of yet
    std::set<LeaseId> ended;                     // that stopped by themselves, as their turn was up
    uint64_t known_end_ns = scheduling::kNever;  // of the turn, to its processes
    uint64_t stop_ordered_ns = 0;
    uint64_t stop_deadline_ns = 0;
    uint64_t charged_at_stop_ns = 0;  // of the turn
    CountedSet own;                   // SMs; none: it takes turns on what is nobody's
    bool may_borrow = false;          // SMs of others
    bool lent_as_busy = false;        // when lanes were last drawn
    uint64_t idle_since_ns = 0;
    CountedSet sms;          // that it may use now; none where the GPU's number is not known
    CountedSet lane;         // of which these are some: what all slices in time share, or its own and lent
    uint32_t wants_sms = 0;  // of those, while it is one of those in time
    bool isolated = false;
    Company company;
    uint64_t sm_ns = 0;  // SM-time that it might use, up to sm_until_ns
    uint64_t sm_until_ns = 0;
    uint64_t used_ns = 0;
    uint64_t waited_ns = 0;
    Granted granted;  // until then:
    uint64_t granted_until_ns = 0;
  };
  struct Gpu {
    std::unique_ptr<scheduling::DeviceScheduler> scheduler;
    scheduling::QosController qos;
    std::map<scheduling::TenantId, Member> members;
    // Of those, as a turn concerns few of many: whose turn it is, who is waited for to stop, and who has
    // begun or ended to have work since settle().
    std::set<scheduling::TenantId> in_turn, stopping, changed;
    size_t waiting = 0;  // whose gate is Stop
    // Whose turn was the last to end, while nobody's has begun since; and what that costs.
    std::optional<scheduling::TenantId> handing_over;
    scheduling::SwitchCost switch_cost{0};
    bool stops_kernels = true;
    bool lends_sms = true;
    CountedSet sms;  // all of them; none: their number is not known
    bool any_in_space = false;
    bool lanes_stale = true;                   // a slice came, went, or got other SMs of its own
    uint64_t lend_at_ns = scheduling::kNever;  // when somebody will have had no work for long enough
    scheduling::CoExecution co_execution;
    uint64_t look_at_ns = scheduling::kNever;  // while slices run side by side
    bool any_company = false;
    bool any_apart = true;  // a slice in time may have other SMs than all that these share
    bool widths_stale =
        true;  // a slice came, or has other SMs, or may have no company any more, or may again
    uint64_t due_ns = scheduling::kNever;  // when decide() has something to do
  };
  struct Place {  // nodes of maps: they stay where they are
    Gpu* gpu;
    Member* member;
  };

  static void forget(Gpu& gpu, scheduling::TenantId tenant);
  void end_all_work(SliceId slice, LeaseId lease, bool forget, uint64_t now_ns, GateOrders& orders);
  Gpu& gpu_of(SliceId slice, uint32_t device, Member** member);
  const Member& member(SliceId slice, uint32_t device) const;
  Result<Gpu*> open_gpu(uint32_t gpu);
  void start_work(Gpu& gpu, Member& member, LeaseId lease, uint64_t now_ns);
  void end_work(Gpu& gpu, Member& member, LeaseId lease, uint64_t now_ns);
  // To be called before the gate, the SMs or `stopping` change.
  static void book_granted(const Gpu& gpu, Member& member, uint64_t now_ns);
  static uint64_t sm_ns(const Member& member, uint64_t now_ns) {
    return member.sm_ns + scheduling::elapsed(member.sm_until_ns, now_ns) * member.sms.count();
  }
  static Granted granted_by(const Gpu& gpu, const Member& member, uint64_t now_ns);
  static scheduling::TenantSpec scheduled(const SliceDevice& part, uint32_t sm_count);
  static void set_own(Gpu& gpu, Member& member, const SliceDevice& part, uint64_t now_ns);
  static bool is_busy(const Gpu& gpu, const Member& member, uint64_t now_ns);
  void lend(Gpu& gpu, uint64_t now_ns, GateOrders& orders);
  static bool lanes_change(Gpu& gpu, uint64_t now_ns);
  void draw_lanes(Gpu& gpu, uint64_t now_ns, GateOrders& orders);
  static void change_sms(const Gpu& gpu, Member& member, const IndexSet& sms, uint64_t now_ns,
                         GateOrders& orders);
  // When the turn of whoever is first to end it ends, or is seen to.
  static uint64_t turn_end_ns(const Gpu& gpu);
  static uint64_t grant_end_ns(const Gpu& gpu, const Member& member);
  // Between the two the scheduler decides.
  void fit_widths(Gpu& gpu, uint64_t now_ns) const;
  void part(Gpu& gpu, uint64_t now_ns, GateOrders& orders) const;
  void part_all(Gpu& gpu, uint64_t now_ns, GateOrders& orders) const;
  bool may_have_company(Gpu& gpu, const Member& member, uint64_t now_ns) const;
  static void note_company(Gpu& gpu, uint64_t now_ns);
  static void go_on(const Gpu& gpu, Member& member, uint64_t now_ns, GateOrders& orders);
  static void give_order(const Gpu& gpu, Member& member, uint64_t now_ns, GateOrders& orders);
  void settle(Gpu& gpu, uint64_t now_ns, GateOrders& orders);
  static bool is_stopping(const Gpu& gpu, const IndexSet& sms, uint64_t now_ns);
  static std::optional<uint64_t> stop_deadline_ns(const Gpu& gpu);
  static uint64_t stop_patience_ns(const Gpu& gpu, const Member& member);
  static void lose_patience(Gpu& gpu, Member& member, uint64_t now_ns);
  vgpu::GateState wanted_state(const Gpu& gpu, const Member& member) const;
  static bool is_contended(const Gpu& gpu);
  static uint64_t due_ns(const Gpu& gpu);
  static std::vector<Member*> may_change(Gpu& gpu);
  static void note_hand_over(Gpu& gpu, const Member& next, uint64_t now_ns);
  void set_state(Gpu& gpu, Member& member, vgpu::GateState state, uint64_t now_ns, GateOrders& orders);

  scheduling::SchedulerConfig config_;
  std::vector<uint32_t> sm_counts_;
  std::set<uint32_t> unstoppable_, unlendable_;
  bool co_execution_ = true;
  std::map<uint32_t, Gpu> gpus_;
  std::map<std::pair<SliceId, uint32_t>, Place> places_;
};

}  // namespace tessera::node
