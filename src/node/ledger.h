// The books of the node: which slices exist, which processes hold leases, and how many bytes of each GPU they
// may charge. A deterministic state machine without clock, socket or thread: times are given to it.
//
// Invariants, true between any two calls (checked by check()):
//   - for each slice and device, the sum of the leases' grants is the slice's `granted`, and at most `limit`
//     unless the limit was lowered below it: then nothing is granted until enough is back;
//   - for each GPU, the sum of the limits of slices that reserved memory is at most what may be promised of
//     it, and the sum of the shares that were promised at most the whole; where slices count with what they
//     need, the first held for what each was counted with when the last of them was admitted;
//   - each of these slices can have all of its limit on the GPU while the others have what they are
//   guaranteed;
//   - no SM is the own one of two slices, and those that are nobody's hold what is promised to slices that
//     take turns;
//   - nothing is granted on a slice while it awaits a process that held a lease when an earlier daemon ended;
//   - a slice exists exactly as long as it is kept (`tessera slice create`), or has a holder (the `tessera
//   run`
//     that made it) or a lease.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/process_identity.h"
#include "common/status.h"
#include "node/messages.h"
#include "partitioning/planner.h"
#include "partitioning/residency.h"

namespace tessera::node {

using SliceId = uint64_t;
using LeaseId = uint64_t;

inline constexpr size_t kMaxSlices = 1024;
inline constexpr size_t kMaxLeasesPerSlice = 512;
inline constexpr size_t kMaxSliceNameBytes = 63;

struct SliceDevice {
  uint32_t gpu = 0;  // index in the node's inventory
  uint64_t limit_bytes = 0;
  bool reserved = false;  // the limit is set aside for this slice; otherwise it is best effort
  bool lowered = false;   // the limit was set below what was granted, and not enough has come back yet
  uint64_t granted_bytes = 0;
  uint64_t peak_granted_bytes = 0;
  uint64_t recent_peak_bytes = 0;      // of what was granted, since Ledger::take_recent_peak()
  std::optional<uint64_t> need_bytes;  // as measured (memory/reclaim/working_set.h); none: not known yet
  uint64_t journalled_need_bytes = 0;
  partitioning::ComputeSpec compute;
  partitioning::MemoryTerms memory;
  IndexSet sms;  // its own; none: it takes turns on those that are nobody's
};

struct Slice {
  SliceId id = 0;
  std::string name;
  std::string tenant;  // the name that was asked for, or the program
  Token token{};
  uid_t owner = 0;
  uint64_t created_ns = 0;
  std::vector<SliceDevice> devices;
  bool kept = false;  // until it is deleted, whether anybody uses it or not
  bool held = true;
  ProcessIdentity holder;  // that process, while `held`
  std::set<LeaseId> leases;
  size_t awaited = 0;  // of `leases`
};

struct LeaseDevice {
  uint64_t granted_bytes = 0;
  uint64_t peak_granted_bytes = 0;
};

enum class LeaseLife : uint8_t {
  kAttached,  // has its connection
  kDetached,  // has closed it and lives on: what it holds cannot change until it attaches again or ends
  kAwaited,   // of an earlier daemon, and has not attached to this one yet: holds what that one journalled
};

struct Lease {
  LeaseId id = 0;
  SliceId slice = 0;
  ProcessIdentity process;
  uint64_t created_ns = 0;
  LeaseLife life = LeaseLife::kAttached;
  std::vector<LeaseDevice> devices;  // as Slice::devices
};

struct SliceRequest {
  std::string name;     // empty: made from `program`
  std::string program;  // file name of the program, for the default name
  Token token{};
  uid_t owner = 0;
  ProcessIdentity holder;
  std::vector<uint32_t> gpus;          // empty: the GPU with the most memory not reserved
  std::vector<uint64_t> memory_bytes;  // of each of `gpus`, or one for all; empty: nothing is set aside
  // On each of `gpus`, or one for all; empty: nothing is promised.
  std::vector<partitioning::ComputeSpec> compute;
  partitioning::MemoryTerms memory;              // on each of them
  bool kept = false;                             // it has no holder, then
  std::optional<partitioning::Packing> packing;  // where no GPU is named; none: the ledger's
};

// What a GPU has beside memory; see partitioning::GpuState.
struct GpuFacts {
  uint32_t sm_count = 0;
  partitioning::SmControl control = partitioning::SmControl::kNone;
  bool stops_kernels() const { return control == partitioning::SmControl::kSets; }
};

inline const std::string& tenant_name(const SliceRequest& request) {
  return request.name.empty() ? request.program : request.name;
}

class Ledger {
 public:
  // Only while there is no slice: the totals are what admission rests on.
  void set_gpu_totals(std::vector<uint64_t> totals);
  const std::vector<uint64_t>& gpu_totals() const { return gpu_totals_; }
  // How much of a GPU's memory slices may be promised together, in thousandths of what it has: more than 1000
  // where processes' memory is moved out of it and back (residency_broker.h). One slice is never promised
  // more than there is. Set with the totals.
  void set_overcommit(uint32_t permille) { overcommit_permille_ = permille; }
  uint64_t promisable_bytes(uint32_t gpu) const;
  // Each slice whose need is known keeps that from others instead of its limit. Set with the totals.
  void count_needs() { counts_needs_ = true; }
  bool counts_needs() const { return counts_needs_; }
  // What a slice keeps from others of a GPU's memory.
  uint64_t set_aside_bytes(const SliceDevice& device) const;
  void set_packing(partitioning::Packing packing) { packing_ = packing; }
  // As many, or none: nothing is known.
  void set_gpu_facts(std::vector<GpuFacts> facts);
  const GpuFacts& gpu_facts(uint32_t gpu) const { return gpu_facts_.at(gpu); }
  // Of a GPU's SMs, what a process that a slice starts there now is to have from its start on, in percent
  // that rounded up to whole SMs are what is planned; 0: the driver wants to be told nothing then.
  uint32_t portion_percent(const SliceDevice& device) const;
  // GPUs that no new slice or process gets, with the reason, by index.
  void set_closed(std::map<uint32_t, std::string> closed) { closed_ = std::move(closed); }
  Status check_open(uint32_t gpu) const;

  // What slices have not reserved of a GPU. What a slice still holds above a lowered limit counts as
  // reserved.
  uint64_t unreserved_bytes(uint32_t gpu) const;
  std::vector<uint64_t> unreserved_bytes() const;  // of each

  // The GPU as the planner sees it, without `except`.
  partitioning::GpuState gpu_state(uint32_t gpu, SliceId except = 0) const;
  std::vector<partitioning::GpuState> gpu_states() const;

  // Refused with the figures where a GPU has not enough left; refused changes nothing.
  Result<SliceId> open_slice(const SliceRequest& request, uint64_t now_ns);
  // No longer kept. True if the slice ended with that.
  bool release_slice(SliceId slice);
  // The holder is gone. The slice ends with its last lease; true if it ended now.
  bool drop_holder(SliceId slice);

  // Sets the limit aside on the named GPU of the slice, or on every one of it. All or nothing: refused with
  // the figures where a GPU has not enough left. Below what is granted it stays granted, see
  // SliceDevice::lowered.
  Status set_limit(SliceId slice, std::optional<uint32_t> gpu, uint64_t bytes);

  // Changes what the slice gets of the GPU's time, on the named GPU or every one of it; all or nothing as
  // above.
  using ComputeChange = std::function<Status(partitioning::ComputeSpec& spec)>;
  Status set_compute(SliceId slice, std::optional<uint32_t> gpu, const ComputeChange& change);

  // Changes what the slice is promised of the GPU's memory beside its limit; all or nothing as above.
  struct MemoryChange {
    std::optional<uint64_t> min_bytes;
    std::optional<uint32_t> weight;
    std::optional<uint64_t> copy_min = {}, copy_max = {};  // bytes a second
  };
  Status set_memory(SliceId slice, std::optional<uint32_t> gpu, const MemoryChange& change);

  // The most that the slice's processes were granted since the last call.
  uint64_t take_recent_peak(SliceId slice, size_t device);
  // What the slice needs of the GPU, as measured. True where it has changed so much that it is journalled.
  bool set_need(SliceId slice, size_t device, std::optional<uint64_t> bytes);

  // Slices of one GPU that have no processes, to others; all or nothing: refused where what is promised of a
  // GPU would be more than it has.
  struct Move {
    SliceId slice;
    uint32_t gpu;
    IndexSet sms;  // its own there
  };
  Status move_slices(std::span<const Move> moves);

  // The slice of that name, if `user` may change it.
  Result<SliceId> slice_named(std::string_view name, uid_t user) const;
  // The slice of that token, if `user` may use it.
  Result<SliceId> slice_of(const Token& token, uid_t user) const;
  Result<LeaseId> open_lease(const Token& token, uid_t user, const ProcessIdentity& process, uint64_t now_ns);
  // All grants of the lease are back. True if its slice ended with it.
  bool close_lease(LeaseId lease);

  // What an earlier daemon's journal says. Refused, and nothing changed, where it cannot be: an id, name or
  // token twice, a GPU that has not so much, a lease without its slice.
  Status restore_slice(Slice slice);
  Status restore_lease(Lease lease);
  void set_life(LeaseId lease, LeaseLife life);
  // A process that attaches again says what it holds of each device. Less than is booked is given back; more
  // is booked where it fits the limit. Otherwise refused, and nothing changed.
  Status claim(LeaseId lease, std::span<const uint64_t> held_bytes);

  // Grants `needed` at least and `wanted` at most; 0 if not even `needed` fits. `needed` <= `wanted`.
  uint64_t grant(LeaseId lease, uint32_t device, uint64_t needed, uint64_t wanted);
  // What the slice would have to get back from its leases before `needed` fits.
  uint64_t shortfall(LeaseId lease, uint32_t device, uint64_t needed) const;
  Status give_back(LeaseId lease, uint32_t device, uint64_t bytes);

  const Slice* find_slice(SliceId id) const;
  const Lease* find_lease(LeaseId id) const;
  const std::map<SliceId, Slice>& slices() const { return slices_; }
  const std::map<LeaseId, Lease>& leases() const { return leases_; }

  // What has changed or ended since the last call: for the journal.
  struct Touched {
    std::set<SliceId> slices;
    std::set<LeaseId> leases;
  };
  Touched take_touched() { return std::exchange(touched_, {}); }

  // Whether every invariant holds; for tests and for asserting.
  Status check() const;

 private:
  Result<std::string> choose_name(const SliceRequest& request) const;
  Result<std::vector<uint32_t>> choose_gpus(const SliceRequest& request) const;
  Result<SliceDevice> plan_device(const SliceRequest& request, size_t index, uint32_t gpu) const;
  Status check_room(uint32_t gpu, uint64_t left, uint64_t wanted) const;
  // What slices are counted with where that is not their limits, and the way out; "" elsewhere.
  std::string needs_note(uint32_t gpu) const;
  Status with_needs(const Status& refusal) const;
  // Of a slice that was admitted once: what others need may have grown since.
  uint64_t most_restored_bytes(const SliceDevice& device) const;
  Status check_minima() const;
  // Whether the slice of that name (`id`: where it exists) could have such a part of the GPU.
  Status check_minimum(const std::string& name, SliceId id, const SliceDevice& part) const;
  Status check_sms_of_gpus() const;
  Status check_can_change(const Slice& slice, const SliceDevice& device, const IndexSet& sms) const;
  bool end_if_unused(SliceId slice);

  Touched touched_;
  std::vector<uint64_t> gpu_totals_;
  uint32_t overcommit_permille_ = 1000;
  bool counts_needs_ = false;
  std::map<uint32_t, std::string> closed_;
  std::vector<GpuFacts> gpu_facts_;
  partitioning::Packing packing_ = partitioning::Packing::kSpread;
  std::map<SliceId, Slice> slices_;
  std::map<LeaseId, Lease> leases_;
  std::map<std::string, uint64_t, std::less<>> name_numbers_;  // last number of a default name
  SliceId next_slice_ = 1;
  LeaseId next_lease_ = 1;
};

// Letters, digits, '.', '_' and '-', 1 to kMaxSliceNameBytes of them: safe in logs, tables and file names.
Status check_slice_name(std::string_view name);

// Of a slice's own terms: whether they can be.
Status check_memory_terms(const partitioning::MemoryTerms& terms, const SliceDevice& device);

// How much budget a process may ask for ahead of need.
uint64_t chunk_bytes(uint64_t limit_bytes);

}  // namespace tessera::node
