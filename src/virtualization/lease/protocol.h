// What a vGPU's process and the node daemon say to each other: one packet of a SOCK_SEQPACKET Unix socket is
// one message.
//
//   process                             daemon
//     Attach(token)            ──▶
//                              ◀──      Attached(devices) + two descriptors: counter page, grant page
//     Reattach(token, lease, held) ──▶             instead of Attach where the connection was lost, as when
//     the
//                              ◀──      Attached  daemon was restarted: what the process holds of each device
//     Reserve(device, bytes)   ──▶                 more budget, ahead of need
//                              ◀──      Reserved(granted | refused)
//     Release(device, bytes)   ──▶                 budget given back; no answer
//                              ◀──      Recall(device, bytes)     another process of the slice needs budget
//     Recalled(device, bytes)  ──▶                 what was given back of it, at once or in pieces; may be 0
//     Returned(device)         ──▶                 all that it has is on the device again; no answer
//
//     Reserve, Release, Recall and Recalled are of one of several budgets, see BudgetKind.
//
//     Query(device)            ──▶
//                              ◀──      Usage(limit, used, granted)
//     Wake(device, word)       ──▶                 has work at a gate that is Asleep; no answer
//     Idle(device, word)       ──▶                 has no work left while its gate is Run; no answer
//     Stopped(device, word)    ──▶                 nothing of it runs any more, as its gate wants or
//                                                  as the turn of that word is up; no answer
//
//   monitor (our NVML)                  daemon
//     Observe(token)           ──▶                 looks on; holds no lease and can charge nothing
//                              ◀──      Attached(devices), without descriptors
//     Query(device)            ──▶
//                              ◀──      Usage(limit, used, granted)
//     ListProcesses            ──▶
//                              ◀──      Processes(pids)          the slice's leases
//
// The daemon knows the peer by SO_PEERCRED and a pidfd; nothing a process says about itself is believed.
// Integers are in host order: both ends run on one machine. Any message that breaks a rule below ends the
// connection.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <type_traits>

#include "common/index_set.h"
#include "cuda/run_times.h"

namespace tessera::vgpu {

inline constexpr uint32_t kLeaseMagic = 0x41525354;  // "TSRA"
inline constexpr uint16_t kLeaseVersion = 15;
inline constexpr size_t kMaxMessageBytes = 64 * 1024;
inline constexpr size_t kTokenBytes = 32;  // random, as hexadecimal text in TESSERA_SLICE: 64 digits
inline constexpr size_t kMaxDevicesPerSlice = 16;
inline constexpr int32_t kNoNumaNode = -1;
inline constexpr size_t kMaxNeighbours = 8;
inline constexpr size_t kUuidBytes = 48;  // "GPU-xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", zero-terminated

enum class MessageType : uint16_t {
  kAttach = 1,
  kAttached = 2,
  kReserve = 3,
  kReserved = 4,
  kRelease = 5,
  kRecall = 6,
  kRecalled = 7,
  kQuery = 8,
  kUsage = 9,
  kError = 10,          // payload: text of at most kMaxMessageBytes; the connection is then closed
  kObserve = 11,        // payload: AttachRequest
  kListProcesses = 12,  // no payload
  kProcesses = 13,
  kReattach = 14,
  kWake = 15,
  kIdle = 16,
  kStopped = 17,
  kReturned = 18,
  kControl = 100,       // payload: JSON request of the command line tools (node/control.h)
  kControlReply = 101,  // payload: JSON
};

struct MessageHeader {
  uint32_t magic = kLeaseMagic;
  uint16_t version = kLeaseVersion;
  MessageType type{};
  uint32_t request = 0;  // chosen by the asker; the answer carries it back. 0 in messages that want no answer
  uint32_t payload_bytes = 0;  // what follows, exactly
};
static_assert(sizeof(MessageHeader) == 16);

struct AttachRequest {
  uint8_t token[kTokenBytes];
};

// The held bytes are given back or booked until they are what is said here, within the slice's limit; a claim
// beyond it is refused.
struct ReattachRequest {
  uint8_t token[kTokenBytes];
  uint64_t lease;  // AttachedReply::lease of the lost connection
  uint32_t device_count;
  uint32_t reserved;
  uint64_t held_bytes[kMaxDevicesPerSlice];
  uint64_t resident_bytes[kMaxDevicesPerSlice];  // of the other budgets
  uint64_t swap_bytes[kMaxDevicesPerSlice];
  uint64_t neighbour_bytes[kMaxDevicesPerSlice];
  char neighbours[kMaxDevicesPerSlice][kUuidBytes];  // where those are; empty: there are none
};

// What a process may have of a device, in several respects.
enum class BudgetKind : uint32_t {
  kLimit = 0,     // of its slice's limit
  kResident = 1,  // of the device's memory itself, where limits together are more than that: it may take long
                  // until it is granted, and is recalled when others need it
  kSwap = 2,      // of the host's memory for what is off the device, where that is bounded; never waits
  kNeighbour =
      3,  // of another GPU's memory for that; never waits, and is recalled when that GPU's own need it
};
inline constexpr size_t kBudgetKinds = 4;

struct AttachedDevice {
  char uuid[kUuidBytes];
  uint64_t limit_bytes;  // the slice's limit on this device
  uint64_t chunk_bytes;  // how much budget to ask for ahead, at most
  // Not 0: slices' limits are more than this, which is what there is; see BudgetKind::kResident.
  uint64_t capacity_bytes;
  // The NUMA node that is nearest to the device, for buffers and the threads that copy; kNoNumaNode where it
  // makes no difference.
  int32_t numa_node;
  uint32_t reserved;
  // Not 0: of the device's SMs, what the driver is to be told when it starts (MPS), in percent.
  uint32_t portion_percent;
  uint32_t yields;  // 1: to be below others in priority there
};
// How memory is kept that is off its device, see memory/swap/swap_options.h.
struct SwapTerms {
  uint32_t encoding;
  uint32_t encrypt;        // 1: it is
  uint32_t host_bounded;   // 1: what is in the host's memory is to be charged, see BudgetKind::kSwap
  uint32_t neighbour_use;  // memory::NeighbourUse
  char directory[512];     // zero-terminated; empty: there is no file
};
struct AttachedReply {
  SwapTerms swap;
  uint64_t lease;  // the daemon's number of it; says nothing of what it holds. 0 for an observer
  uint32_t device_count;
  uint32_t reserved;
  char slice_name[64];
  AttachedDevice devices[kMaxDevicesPerSlice];
  // GPUs of other slices, in whose memory it may keep what is off its devices, see BudgetKind::kNeighbour.
  // Nothing of the program ever sees them.
  char neighbours[kMaxNeighbours][kUuidBytes];  // empty: no more
};

struct ReserveRequest {
  uint32_t device;  // index into AttachedReply::devices
  BudgetKind kind;
  uint64_t bytes_needed;  // all or nothing: less than this is a refusal
  uint64_t bytes_wanted;  // >= bytes_needed; what exceeds it is budget ahead
  // Of the process's memory that is off the device, all that is to be brought back, with this and further
  // requests; 0: it asks for more memory.
  uint64_t out_bytes;
  char neighbour[kUuidBytes];  // of BudgetKind::kNeighbour: where; one at a time for each device
};
enum class Refusal : uint32_t {
  kLimit = 0,      // the slice has what its limit allows
  kNeverFits = 1,  // all of the process's memory would not fit on the device at once
  kNoSwap = 2,     // others could make room, but there is no place for what they have on the device
  kImmovable = 3,  // others cannot make room: what they have on the device cannot leave it
};
struct ReservedReply {
  uint64_t granted_bytes;     // 0 = refused, else >= bytes_needed
  uint64_t limit_bytes;       // the slice's, or what the device has
  uint64_t slice_used_bytes;  // all processes of the slice
  uint32_t awaited;           // processes that have not attached again after a restart of the daemon
  Refusal refusal;            // where it is refused: why
};

struct ReleaseNotice {
  uint32_t device;
  BudgetKind kind;
  uint64_t bytes;
};
// Under number 0 it is a hint: what is granted and not in use is to be released, and nothing is answered.
using RecallNotice = ReleaseNotice;
struct RecalledReply {  // the header carries the recall's request number
  uint32_t device;
  BudgetKind kind;
  uint64_t bytes;  // of all answers: less than was asked for is all that could be given now
  // Of its memory, off the device now; while there is some nothing of it runs there.
  uint64_t out_bytes;
  uint32_t more;     // 1: another answer under this number follows
  uint32_t no_swap;  // 1: it gave less because there is no place left for what would leave the device
};
struct ReturnedNotice {
  uint32_t device;
  uint32_t reserved;
};

struct QueryRequest {
  uint32_t device;
  uint32_t reserved;
};
struct UsageReply {
  uint64_t limit_bytes;
  uint64_t used_bytes;     // charged by all processes of the slice, as they report it
  uint64_t granted_bytes;  // what they may charge without asking again
};

inline constexpr size_t kMaxListedProcesses = 1024;
struct ProcessesReply {
  uint32_t count;  // of pids; a slice with more shows its first
  uint32_t reserved;
  int32_t pids[kMaxListedProcesses];  // as the daemon's pid namespace numbers them
};

// Whether a slice's kernels may run on a device now. The word in the grant page is `turn << 2 | state`; the
// turn changes with each order, so that notices can name the one that they answer.
enum class GateState : uint32_t {
  kFree = 0,    // nobody else wants the device: run, and tell nothing
  kRun = 1,     // it is this slice's turn
  kStop = 2,    // it is not; it has work and will have its turn
  kAsleep = 3,  // it is not, and it is taken to have no work: who has some says so with Wake
};
constexpr GateState gate_state(uint32_t word) { return static_cast<GateState>(word & 3); }
constexpr bool is_turn(GateState state) { return state == GateState::kRun || state == GateState::kFree; }
constexpr uint32_t gate_word(uint32_t turn, GateState state) {
  return turn << 2 | static_cast<uint32_t>(state);
}

constexpr uint32_t gate_turn(uint32_t word) { return word >> 2; }

struct GateNotice {
  uint32_t device;
  uint32_t word;  // of the gate, as the process saw it
};

// Waits at the gate that were no longer than these are counted apart.
inline constexpr uint64_t kWaitBucketsNs[] = {16'000, 64'000, 256'000, 1'000'000, 16'000'000, 256'000'000};
inline constexpr size_t kWaitBuckets = std::size(kWaitBucketsNs);

// Copies between the host and a device.
enum class HostCopy : uint8_t { kToDevice = 0, kFromDevice = 1 };
inline constexpr size_t kHostCopies = 2;

// Written by the process, read by the daemon; self-reported and labelled so.
struct DeviceCounters {
  std::atomic<uint64_t> used_bytes;
  std::atomic<uint64_t> peak_bytes;
  std::atomic<uint64_t> refusals;
  std::atomic<uint64_t> allocations;
  std::atomic<uint64_t> frees;
  std::atomic<uint64_t> launches;
  std::atomic<uint64_t> bytes_to_device;
  std::atomic<uint64_t> bytes_from_device;
  std::atomic<uint64_t> busy_ns;  // of the device with this process's kernels, as the driver measures it
  std::atomic<uint64_t> kernels;  // finished; with busy_ns, up to date with each notice
  std::atomic<uint64_t> fault;    // CUresult of the first kernel that failed; 0: none did
  // How wide its work is, see cuda::DeviceWork; both 0 where the driver does not measure it.
  std::atomic<uint64_t> ready_ns;
  std::atomic<uint64_t> ready_sm_ns;
  // Where limits are more than the device has: what of `used_bytes` is on it (with what is rounded up), and
  // what has been moved off it and back since the process attached.
  std::atomic<uint64_t> resident_bytes;
  std::atomic<uint64_t> evicted_bytes;
  std::atomic<uint64_t> restored_bytes;
  // What is off it now, and what that takes where it is kept.
  std::atomic<uint64_t> out_bytes;
  std::atomic<uint64_t> swap_host_bytes;
  std::atomic<uint64_t> swap_file_bytes;
  std::atomic<uint64_t> swap_neighbour_bytes;  // of other GPUs
  // Of `launches`.
  std::atomic<uint64_t> graph_launches;
  std::atomic<uint64_t> cooperative_launches;
  std::atomic<uint64_t> bytes_on_device;  // from one place of a device to another, its own or a peer's
  std::atomic<uint64_t> errors;           // launches, copies and waits for the device that failed
  // Launches and copies that waited here for their turn: how many, how long together, and how many of them
  // for how long: those of a bucket are not in the one before.
  std::atomic<uint64_t> gate_waits;
  std::atomic<uint64_t> gate_wait_ns;
  std::atomic<uint64_t> gate_wait_buckets[kWaitBuckets];
  // Kernels that have ended and whose time is known, as cuda::DeviceRunTimes; up to date with each notice.
  std::atomic<uint64_t> timed_kernels;
  std::atomic<uint64_t> timed_kernel_ns;
  std::atomic<uint64_t> timed_kernel_buckets[cuda::kRunTimeBuckets];
  // How often copies that wait for their rate have looked, by HostCopy, and waited together.
  std::atomic<uint64_t> copy_waits[kHostCopies];
  std::atomic<uint64_t> copy_wait_ns;
};
struct CounterPage {
  DeviceCounters devices[kMaxDevicesPerSlice];
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// Written by the daemon, read-only for the process (the descriptor is sealed against writing mappings).
struct DeviceGrant {
  std::atomic<uint64_t> limit_bytes;  // may change while the program runs
  // 1 while more is granted than the limit, because it was lowered: budget at hand is to be given back, not
  // used.
  std::atomic<uint64_t> lowered;
  std::atomic<uint32_t> gate;         // futex word, see GateState
  std::atomic<uint32_t> gate_copies;  // 1: copies and sets pass it, too
  // The SMs that the slice's kernels may use, as IndexSet::Words; none: all. Valid for the gate's word that
  // was written after it.
  std::atomic<uint64_t> sms[IndexSet::kWords];
  // How long the turn of a word that says Run lasts from when the process sees it: then it stops by itself
  // and says so, and nobody need be woken to tell it. 0: until it is told. Valid as the SMs are.
  std::atomic<uint64_t> turn_ns;
  // By HostCopy: how many bytes each process of the slice may copy in a second; kAnyCopyRate: as many as it
  // can. 0: nobody looks at it.
  std::atomic<uint64_t> copy_rates[kHostCopies];
};
inline constexpr uint64_t kAnyCopyRate = UINT64_MAX;
struct GrantPage {
  DeviceGrant devices[kMaxDevicesPerSlice];
};
inline constexpr size_t kPageBytes = 8192;
static_assert(sizeof(CounterPage) <= kPageBytes && sizeof(GrantPage) <= kPageBytes);

}  // namespace tessera::vgpu
