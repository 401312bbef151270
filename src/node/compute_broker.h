// Whose kernels run on which GPU now: the slices' gates, by the scheduler of each GPU. Pure: it is told what
// happened and what processes measured, and answers with orders for gates; the daemon carries them out.
//
// A slice is runnable while one of its processes has work. At most one gate of a GPU is Free: that of the
// only runnable slice, if it has no ceiling. It tells nothing, so all its processes count as working; when
// another slice wakes it gets a turn like everybody, and says whether it has work. Slices without work are
// Asleep: they announce some.
//
// A turn begins when the processes of the one before say that they have stopped, or have had kStopPatienceNs
// to do so: two slices at once would each get half of the GPU's attention, and pay for all of it.
//
// What processes report is believed up to the time their turn lasted.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "node/ledger.h"
#include "scheduling/device_scheduler.h"
#include "scheduling/qos/qos_controller.h"

namespace tessera::node {

inline constexpr uint64_t kStopPatienceNs = 5'000'000;

struct GateOrder {
  SliceId slice;
  uint32_t device;  // index in the slice
  uint32_t word;
};
using GateOrders = std::vector<GateOrder>;

// Of one process on one device, since it attached.
struct ComputeFigures {
  uint64_t busy_ns = 0;
  uint64_t kernels = 0;
};

class ComputeBroker {
 public:
  // What handing a GPU over from process to process costs was measured: two wake-ups and a message, 100 to
  // 150 us.
  static scheduling::SchedulerConfig default_config() {
    scheduling::SchedulerConfig config;
    config.limits.switch_ns = 120 * scheduling::kMicrosecond;
    return config;
  }
  explicit ComputeBroker(scheduling::SchedulerConfig config = default_config())
      : config_(std::move(config)) {}

  // All of a slice's devices, with what each was promised. Refused where a GPU has its most tenants.
  Status add_slice(const Slice& slice, uint64_t now_ns, GateOrders& orders);
  void remove_slice(SliceId slice, uint64_t now_ns, GateOrders& orders);
  Status update(SliceId slice, uint32_t device, const scheduling::TenantSpec& spec, uint64_t now_ns,
                GateOrders& orders);

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
  // What the slice is entitled to where every slice of the GPU has work, in thousandths.
  uint32_t entitled_permille(SliceId slice, uint32_t device) const;
  // Its waits for turns, lately: from the notice that it has work, or the end of its turn, to the order to
  // run. A launch that finds the gate open waits for nothing and is not among them.
  scheduling::WaitHistogram waits(SliceId slice, uint32_t device, uint64_t now_ns) const;
  uint32_t boost_permille(SliceId slice, uint32_t device) const;

 private:
  struct Member {
    SliceId slice;
    uint32_t device;
    scheduling::TenantId tenant;
    uint32_t turn = 0;
    vgpu::GateState state = vgpu::GateState::kAsleep;
    uint64_t wants_since_ns = 0;  // its turn, while it has none and has work
    uint64_t turn_began_ns = 0;
    uint64_t turn_charged_ns = 0;
    std::map<LeaseId, ComputeFigures> leases;
    std::set<LeaseId> working;
    std::set<LeaseId> stopping;  // told to stop, and not heard of yet
    uint64_t stop_deadline_ns = 0;
  };
  struct Gpu {
    std::unique_ptr<scheduling::DeviceScheduler> scheduler;
    scheduling::QosController qos;
    std::map<scheduling::TenantId, Member> members;
  };
  struct Place {
    uint32_t gpu;
    scheduling::TenantId tenant;
  };

  void end_all_work(SliceId slice, LeaseId lease, bool forget, uint64_t now_ns, GateOrders& orders);
  Gpu& gpu_of(SliceId slice, uint32_t device, Member** member);
  const Member& member(SliceId slice, uint32_t device) const;
  Result<Gpu*> open_gpu(uint32_t gpu);
  void start_work(Gpu& gpu, Member& member, LeaseId lease, uint64_t now_ns);
  void end_work(Gpu& gpu, Member& member, LeaseId lease, uint64_t now_ns);
  void settle(Gpu& gpu, uint64_t now_ns, GateOrders& orders);
  static bool is_stopping(const Gpu& gpu, uint64_t now_ns);
  static std::optional<uint64_t> stop_deadline_ns(const Gpu& gpu);
  vgpu::GateState wanted_state(const Gpu& gpu, const Member& member) const;
  static bool is_contended(const Gpu& gpu);
  void set_state(Gpu& gpu, Member& member, vgpu::GateState state, uint64_t now_ns, GateOrders& orders);

  scheduling::SchedulerConfig config_;
  std::map<uint32_t, Gpu> gpus_;
  std::map<std::pair<SliceId, uint32_t>, Place> places_;
};

}  // namespace tessera::node
