// Slices and leases as they live: the books (ledger, broker) tied to processes, shared pages and connections.
//
// When does a lease end?
//   - Its pidfd says that the process ended: at once, everything it held is back. This alone is
//   authoritative.
//   - Its connection is at its end (every copy of the descriptor is closed) while the process lives:
//       nothing granted: at once;
//       the process runs another image than when it attached (exec closed the descriptor and freed what the
//       old image held): at once; otherwise the process still is what it was and may still use the memory:
//       the lease is *detached*. Its grants stay charged, nothing more can be asked of it, and it ends when
//       the process ends or execs, or goes on when the process attaches again and says what it holds. The
//       same process may attach again meanwhile; it gets a new lease beside the detached one, never the same
//       bytes twice.
//   - The daemon itself ends: the next one finds slices, limits and grants in the journal. A slice is granted
//   nothing
//     until each process that held a lease has attached again or ended (LeaseLife::kAwaited); a `tessera run`
//     that held a slice holds it until it ends, or until it has come back and let go.
//   - A forked child that holds a copy of the descriptor changes nothing: there is no end of file before the
//     pidfd fires, and then the lease ends and the child's copy is cut off.
//
// An observing connection holds no lease and keeps no slice alive: it is closed when its slice ends.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "memory/reclaim/working_set.h"
#include "memory/swap/swap_options.h"
#include "monitoring/event_list.h"
#include "node/broker.h"
#include "node/compute_broker.h"
#include "node/connection.h"
#include "node/copy_broker.h"
#include "node/event_loop.h"
#include "node/inventory.h"
#include "node/journal.h"
#include "node/neighbour_rooms.h"
#include "node/pages.h"
#include "node/process_image.h"
#include "node/residency_broker.h"
#include "node/round_policy.h"
#include "node/round_watch.h"
#include "node/swap_space.h"
#include "node/tenant_faults.h"
#include "node/usage_window.h"
#include "partitioning/rebalance.h"

namespace tessera::node {

// As many as processes: each may look at NVML.
inline constexpr size_t kMaxObserversPerSlice = kMaxLeasesPerSlice;

// One slice on one device, over all its processes, living and ended. As the processes report it, bounded by
// what the ledger granted them. `peak_bytes` is exact while one process runs at a time; with several it is
// the highest sum the daemon saw.
struct DeviceUsage : Counts {
  uint64_t used_bytes = 0;
  uint64_t peak_bytes = 0;
  uint64_t fault = 0;           // a CUresult with which one of the processes failed; 0: none did
  uint64_t faults = 0;          // processes that failed on the device
  uint64_t resident_bytes = 0;  // on the device, where limits are more than it has
  uint64_t out_bytes = 0;       // off it now, as the processes report it, as what follows
  uint64_t swap_host_bytes = 0, swap_file_bytes = 0;  // that this takes
  uint64_t swap_neighbour_bytes = 0;                  // of other GPUs
  uint64_t memory_wait_ns = 0;  // waited for memory of the device, all processes together

  // What only grows, of a process.
  void add_counts(const CounterValues& values);
};

struct SliceUsage {
  std::vector<DeviceUsage> devices;
  uint64_t processes = 0;  // that ever attached
};

class LeaseService {
 public:
  LeaseService(EventLoop& loop, const scheduling::SchedulerConfig& scheduling);
  // Tenants whose programs keep failing have to wait for their next slice, see tenant_faults.h.
  void refuse_faulty() { refuses_faulty_ = true; }
  void set_round_policy(RoundPolicy policy) { round_policy_ = policy; }
  // Who is shown a slice that is about to end, while all is known of it.
  using LastLook = std::function<void(const Slice& slice)>;
  void set_last_look(LastLook look) { last_look_ = std::move(look); }
  void set_co_execution(bool on) { compute_.set_co_execution(on); }
  // Limits may be more than a GPU has: what is on it is granted apart. Together with the ledger's totals.
  void set_residency(std::vector<uint64_t> capacities) {
    residency_.set_capacities(std::move(capacities));
    if (lends()) residency_.set_lending();
  }
  // Within which time everybody has been on a GPU, see ResidencyBroker.
  void set_residence_round(uint64_t ns) { residency_.set_round(ns); }
  const ResidencyBroker& residency() const { return residency_; }
  // What slices need, where their limits may be more than there is: from their first process on. Now and
  // then, and before what they are counted with matters.
  void measure_needs();
  // How long processes are watched before it is known what a slice needs of a GPU, see Ledger::count_needs().
  void set_working_set_window(uint64_t ns) { working_set_window_ns_ = ns; }
  // How memory is kept that is off the GPUs; `host_bytes`: that it may take of the host's, 0: without bound.
  void set_swap(const memory::SwapOptions& options, uint64_t host_bytes);
  const memory::SwapOptions& swap_options() const { return swap_options_; }
  const SwapSpace& swap_space() const { return swap_space_; }
  // What of GPUs is lent to processes of others for what has left theirs.
  const NeighbourRooms& neighbours() const { return neighbours_; }
  ~LeaseService();
  LeaseService(const LeaseService&) = delete;
  LeaseService& operator=(const LeaseService&) = delete;

  Ledger& ledger() { return ledger_; }
  uint64_t now_ns() const { return loop_.now_ns(); }
  uint64_t wall_ms() const { return loop_.wall_ms(); }
  // What has happened to slices, programs and GPUs, for people to read.
  const monitoring::EventList& events() const { return events_; }
  void tell(monitoring::Severity severity, const char* kind, const std::string& subject, std::string text,
            monitoring::EventDetails details = {}) {
    events_.add(loop_.wall_ms(), severity, kind, subject, std::move(text), std::move(details));
  }
  // GPU UUIDs, by inventory index; set together with the ledger's totals.
  void set_gpu_uuids(std::vector<std::string> uuids) {
    gpu_uuids_ = std::move(uuids);
    gpu_nodes_.resize(gpu_uuids_.size());
  }
  // The NUMA node to use with each GPU (node_to_use); after the UUIDs.
  void set_gpu_nodes(std::vector<std::optional<int32_t>> nodes) { gpu_nodes_ = std::move(nodes); }

  // What an earlier daemon left, then the journal of this one. Needs the ledger's totals and the UUIDs. An
  // entry that cannot be is dropped with a warning.
  void take_over(Journal journal);
  // Something of others that is to outlive the daemon, under a key of their own; null: no longer.
  void remember(const std::string& key, const Json& value);
  // The journal goes where nothing is in it.
  void close_journal();

  Result<SliceId> open_slice(const SliceRequest& request);
  // A slice that was kept ends with its last process; refused while it has some, unless `when_unused`. True
  // if it ended.
  Result<bool> release_slice(SliceId slice, bool when_unused);
  void set_gpu_facts(std::vector<GpuFacts> facts);
  // The `tessera run` that made the slice, after a restart of the daemon: `connection` holds it from now on.
  Result<SliceId> hold_again(const Token& token, const Peer& peer);
  // As Ledger::set_limit; the slice's processes see it at once.
  Status set_limit(SliceId slice, std::optional<uint32_t> gpu, uint64_t bytes);
  // As Ledger::set_memory; who gives way follows it at once.
  Status set_memory(SliceId slice, std::optional<uint32_t> gpu, const Ledger::MemoryChange& change);
  // How much of the last seconds one of the slice's processes waited for memory of the device, in
  // thousandths.
  uint32_t memory_pressure_permille(SliceId slice, size_t device);
  // As Ledger::set_compute; turns follow it at once.
  Status set_compute(SliceId slice, std::optional<uint32_t> gpu, const Ledger::ComputeChange& change);
  // Which slices that nobody uses should move to other GPUs, and taking them there: all or none.
  struct Balance {
    struct Part {
      SliceId slice;
      uint32_t gpu;
      std::string stays;  // why; empty: it moves
    };
    std::vector<Part> parts;
    partitioning::Rebalance plan;
  };
  Balance plan_balance() const;
  Status apply_balance(const Balance& balance);
  // What a slice is entitled to of a GPU, had lately, and lent to others or (below 0) borrowed from them, in
  // thousandths of the GPU's time.
  struct Shares {
    uint32_t entitled;
    uint32_t achieved;
    int32_t lent;
  };
  Shares shares(SliceId slice, size_t device);
  // Whether the driver should be asked each second what processes do: somebody could be robbed by one that
  // goes round the gate.
  bool wants_watch() const;
  // Right before the driver is asked, and with its answer.
  void mark_use(uint64_t now_ns);
  void hear_driver(const Inventory& inventory, uint64_t now_ns);
  // Memory of the slice's processes on the device, as the driver last said; nothing where it does not tell.
  std::optional<uint64_t> driver_bytes(const Slice& slice, size_t device) const;
  bool goes_round(const Lease& lease) const;
  struct RoundFigures {
    uint64_t times;  // that a process was noticed
    bool confined;
  };
  RoundFigures round_figures(SliceId slice) const;
  bool holds_lease(pid_t pid) const;
  const TenantFaults& faults() const { return faults_; }
  bool isolated(const Slice& slice) const { return faults_.isolated(slice.owner, slice.tenant, now_ns()); }
  // False where no tenant of that name has failed lately.
  bool forgive_tenant(const std::string& name);
  const ComputeBroker& compute() const { return compute_; }
  void drop_holder(SliceId slice);
  // Ends the leases of processes that are gone already but whose event has not been handled yet.
  void reap(SliceId slice);
  SliceUsage usage(SliceId slice);
  // One lease as it stands; `index` is the device's index in the slice.
  CounterValues lease_usage(const Lease& lease, size_t index) const;

  // A message of a client; an error means that it broke the protocol.
  Status handle(Connection& connection, const ClientMessage& message);
  void disconnected(Connection& connection);

  void tick(uint64_t now_ns);
  // Of all but turns on a GPU: they come and go hundreds of times a second, and nothing of tick()'s other
  // work depends on them.
  std::optional<uint64_t> next_deadline_ns() const;
  void take_turns(uint64_t now_ns);
  std::optional<uint64_t> next_turn_ns() const { return compute_.next_deadline_ns(); }

 private:
  struct LeaseRecord {
    Connection* connection;  // null once detached
    UniqueFd pidfd;
    EventLoop::Watch watch = 0;
    CounterMapping counters;
    ProcessImage image;
  };
  struct SliceRecord {
    GrantMapping grants;
    std::vector<DeviceUsage> ended;  // of leases that ended; used_bytes stays 0
    uint64_t processes = 0;
    std::set<Connection*> observers;
    std::vector<UsageWindow> windows;  // of each device
    uint64_t heard_ns = 0;             // when its processes were last heard for their figures
    struct Pressure {
      UsageWindow waits;
      uint64_t told_until_ns = 0;  // 0: there is none, or it was not told of
    };
    std::vector<Pressure> pressures;        // of each device
    std::vector<memory::WorkingSet> needs;  // likewise
    UniqueFd holder;                        // pidfd of a holder that has not come back yet
    EventLoop::Watch holder_watch = 0;
    bool failed = false;             // one of its processes; where it stays, since it had none last
    uint64_t round_the_gate = 0;     // times that a process was noticed
    uint64_t confined_until_ns = 0;  // 0: it is not
  };

  SliceRecord new_record(GrantMapping grants, const Slice& slice) const;

  struct Arrived {
    ProcessIdentity process;
    UniqueFd pidfd;
  };
  Result<Arrived> identify(const Connection& connection) const;
  Status attach(Connection& connection, uint32_t request, const AttachMessage& message);
  Status reattach(Connection& connection, uint32_t request, const ReattachMessage& message);
  // A lease of that process, of which no other is left.
  Status begin_lease(LeaseId id, Connection* connection, Arrived arrived, const ProcessImage& image);
  void send_attached(LeaseId id, Connection& connection, uint32_t request);
  void restore_tenants();
  void restore_slices();
  void restore_leases();
  void release_holder(SliceRecord& record);
  void look_before_end(const Slice& slice);
  // Before anybody is told: what has changed since the last time goes into the journal.
  void save();
  Status observe(Connection& connection, uint32_t request, const ObserveMessage& message);
  vgpu::AttachedReply describe(const Slice& slice, LeaseId lease) const;
  Status handle_leased(Connection& connection, const ClientMessage& message);
  // What is asked of the budget that is of the kind of the message.
  Status reserve(LeaseId lease, uint32_t request, const ReserveMessage& message, Effects& effects);
  Status release(LeaseId lease, const ReleaseMessage& message, Effects& effects);
  Status recalled(LeaseId lease, uint32_t number, const RecalledMessage& message, Effects& effects);
  Status returned(LeaseId lease, const ReturnedMessage& message, Effects& effects);
  vgpu::SwapTerms swap_terms() const;
  Status reserve_resident(LeaseId lease, uint32_t request, const ReserveMessage& message, Effects& effects);
  // Whether what has left a GPU may be kept on others.
  bool lends() const;
  std::optional<uint32_t> gpu_of(const std::string& uuid) const;
  void name_neighbours(const Slice& slice, vgpu::AttachedReply& reply) const;
  Result<uint64_t> lend(LeaseId lease, const ReserveMessage& message);
  void attach_neighbours(LeaseId lease, const ReattachMessage& held, Effects& effects);
  // What is promised of GPUs, held there or lent has changed.
  void settle_lending(Effects& effects);
  void settle_lending();
  // Processes that keep what a GPU's own wait for.
  void end_overdue(uint64_t now_ns);
  void open_residency(LeaseId lease);
  // It has said what it holds of GPUs and of the host's memory.
  Status attach_residency(LeaseId lease, const ReattachMessage& held, Effects& effects);
  void close_residency(LeaseId lease, Effects& effects);
  void publish_memory_terms(SliceId slice);
  // Where a slice has begun to wait for memory much of the time, and where it does no longer.
  void tell_pressure(SliceId slice, uint64_t now_ns);
  uint64_t memory_wait_ns(SliceId slice, size_t device) const;
  // Where a GPU's time has begun to go into moving memory, and where it does no longer.
  void tell_thrash();
  void restore_moving();
  Status handle_observing(Connection& connection, const ClientMessage& message);
  Status query(Connection& connection, uint32_t request, SliceId slice, const QueryMessage& message);
  void list_processes(Connection& connection, uint32_t request, SliceId slice);
  struct LeaseEnd {
    const char* name;  // in an event's details
    const char* text;
  };
  static constexpr LeaseEnd kEnded{"ended", "ended"}, kClosed{"closed", "closed its lease"},
      kGone{"gone", "ended or runs another program"}, kReplaced{"replaced", "runs another program"},
      kClaimed{"claimed", "claimed too much"};
  void end_lease(LeaseId lease, const LeaseEnd& why);
  void end_replaced_images();
  void note_fault(SliceId slice, size_t device, uint64_t fault);
  // Where slices of tenants that keep failing run, and where they do no longer.
  void isolate_tenants(uint64_t now_ns);
  Status check_tenant(uid_t user, const std::string& name) const;
  void update_peaks(SliceId slice);
  // Writes the ledger's limits into the slice's grant page.
  void publish_terms(SliceId slice);
  // The ledger has ended the slice.
  void forget_slice(SliceId slice, const std::string& name);
  void apply(const Effects& effects);
  void apply(const GateOrders& orders);
  Status gate_notice(const Lease& lease, const GateMessage& message);
  void sample_use(uint64_t now_ns);
  void hear_all(SliceId slice, uint64_t now_ns);
  uint32_t achieved_permille(SliceId slice, size_t device);
  uint32_t told_permille(SliceId slice, size_t device);  // by what its processes last said
  // What slices of a GPU had lately beyond what they are entitled to, together; looked at again after a
  // while.
  uint32_t borrowed_permille(uint32_t gpu);
  void report_work(const Lease& lease, uint32_t device, uint64_t now_ns);
  // On which GPUs an eye is to be kept on copies: after every change of slices, processes and weights.
  void watch_copies();
  void share_copies(uint64_t now_ns);
  void share_copies(uint32_t gpu, uint64_t now_ns);
  void hear_memory(const Inventory& inventory);
  RoundWatch::AllFigures watched_figures(uint64_t now_ns) const;
  void act_on(const WatchedProcess& process, const RoundWatch::Verdict& verdict, uint64_t now_ns);
  // As promised, or as confined.
  SliceDevice effective_part(SliceId slice, uint32_t device) const;
  void update_compute(SliceId slice, uint32_t device, GateOrders& orders);
  void update_all_compute(SliceId slice);
  void confine(SliceId slice, uint64_t now_ns);
  void release_confined(uint64_t now_ns);
  void stop_process(LeaseId lease);

  EventLoop& loop_;
  Ledger ledger_;
  Broker broker_;
  ComputeBroker compute_;
  ResidencyBroker residency_;
  CopyBroker copies_;
  SwapSpace swap_space_;
  NeighbourRooms neighbours_;
  bool lending_changed_ = false;
  std::set<LeaseId> overdue_;  // that were ended for it
  memory::SwapOptions swap_options_;
  uint64_t working_set_window_ns_ = memory::WorkingSet::kWindowNs;
  std::set<uint32_t> thrashing_;  // GPUs of which that was told
  TenantFaults faults_;
  bool may_isolate_ = false;  // some slice, when that was last looked at
  monitoring::EventList events_;
  bool refuses_faulty_ = false;
  RoundWatch round_watch_;
  // Of GPUs whose driver tells it, by process: what it holds of the GPU's memory.
  std::map<uint32_t, std::map<pid_t, uint64_t>> driver_memory_;
  RoundPolicy round_policy_ = RoundPolicy::kWarn;
  LastLook last_look_;
  std::vector<std::string> gpu_uuids_;
  std::vector<std::optional<int32_t>> gpu_nodes_;
  std::optional<Journal> journal_;
  std::map<SliceId, SliceRecord> slices_;  // as the ledger's
  std::map<LeaseId, LeaseRecord> leases_;  // as the ledger's
  size_t detached_ = 0;
  uint64_t next_image_check_ns_ = 0;
  uint64_t next_sample_ns_ = 0;
  std::map<uint32_t, uint32_t> borrowed_;  // by GPU, see borrowed_permille()
  uint64_t borrowed_until_ns_ = 0;         // that is good
};

}  // namespace tessera::node
