// What is wrong with a device: faults that were injected, and what became of them. It lies in the device's
// shared file, so all processes on the device and all that watch it see the same.
//
// Everything here is pure: the caller holds the file's lock and says what time it is.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "softgpu/device/fault_command.h"
#include "softgpu/device/model.h"

namespace tessera::softgpu {

enum class HealthEventKind : uint32_t { kSingleBit, kDoubleBit, kXid };

struct HealthEvent {
  HealthEventKind kind;
  uint32_t xid;
  uint64_t wall_ns;
};

// A double-bit error that nobody has touched yet.
struct LatentError {
  uint64_t address;  // of its page; 0: wherever memory is touched next
  pid_t pid;         // 0: any process
  uint32_t uncontained;
};

struct RetiredPage {
  uint64_t address;  // as the process that touched it saw it: there are no physical addresses
  uint64_t wall_ns;
};

struct ErrorCounts {
  uint64_t corrected, uncorrected;  // all in device memory: caches and registers are not modelled
};

constexpr uint64_t kErrorPageBytes = 4096;  // what page retirement counts in
constexpr uint32_t kKeptEvents = 64;
constexpr uint32_t kMaxLatentErrors = 32;
constexpr uint32_t kMaxRetiredPages = 64;  // as many as NVIDIA's driver retires on one device

struct Health {
  uint64_t changes;  // another number after each

  // Conditions, which last until `clear`.
  uint32_t lost;              // off the bus
  uint32_t hung;              // kernels stand still
  uint32_t reset_required;    // after an error that could not be contained: no new contexts
  uint32_t slow_permille;     // 1000, or how much longer kernels take; 0 in a new file
  uint32_t slow_reason;       // SlowReason
  uint64_t slow_since_ns;     // CLOCK_MONOTONIC
  uint64_t slowed_ns[2];      // by SlowReason, up to slow_since_ns
  uint64_t hang_deadline_ns;  // CLOCK_MONOTONIC; 0: none
  uint64_t hangs_timed_out;   // how often the watchdog ended one
  uint64_t all_struck;        // how often an error hit every context on the device

  // Errors of memory.
  ErrorCounts since_clear, ever;  // NVML's volatile and aggregate counters
  uint32_t latent_count;
  LatentError latent[kMaxLatentErrors];
  uint32_t remap_pending;  // retired pages or remapped rows that take effect with the next reset
  uint32_t remapped_rows;
  uint32_t retired_count;
  RetiredPage retired[kMaxRetiredPages];

  // What happened, newest last: number `events_end - 1` is at (events_end - 1) % kKeptEvents.
  uint64_t events_end;
  HealthEvent events[kKeptEvents];
};

struct HealthTime {
  uint64_t monotonic_ns, wall_ns;
};

bool is_slow(const Health& health);
uint64_t slowed_ns(const Health& health, SlowReason reason, uint64_t monotonic_ns);

void record_event(Health& health, HealthEventKind kind, uint32_t xid, uint64_t wall_ns);

// kFailedPrecondition where the model has no such errors; kResourceExhausted beyond kMaxLatentErrors.
Status apply(Health& health, const FaultCommand& command, const DeviceModel& model, HealthTime now);

// A process touched [begin, end): whether a latent error was in there. It is then accounted for as NVIDIA's
// drivers do it: counted, its page retired or row remapped, reported as XID 48, 63 and, where the model
// contains errors, 94 or 95. `address` tells its page.
bool strike(Health& health, const DeviceModel& model, pid_t pid, uint64_t begin, uint64_t end,
            uint64_t wall_ns);

// Ends a hang whose time is up: XID 8. Whether it did.
bool end_hang_when_due(Health& health, HealthTime now);

}  // namespace tessera::softgpu
