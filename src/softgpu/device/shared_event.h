// Events that several processes record and wait for: how far their recordings are, in the device's file.
//
// Each recording has a number. An event is over up to a number: what a process that recorded it leaves
// unfinished when it ends is taken as finished, so that nobody waits for the dead.
#pragma once

#include <atomic>
#include <cstdint>

#include "common/status.h"
#include "softgpu/device/process_set.h"

namespace tessera::softgpu {

class DeviceFile;
struct DeviceFileLayout;

constexpr uint32_t kMaxSharedEvents = 4096;  // of a device

// One event, in the device's file.
struct SharedEvent {
  ProcessSet holders;          // none: the entry is free
  uint64_t id;                 // never 0, never given twice; its remainder by kMaxSharedEvents is its place
  uint32_t creator, recorder;  // places of processes: who made it, and who recorded it last
  std::atomic<uint64_t> recorded;  // number of the newest recording; 0: never
  std::atomic<uint64_t> finished;  // all up to this number are over
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// An event of this process; the answer is its id. kResourceExhausted where kMaxSharedEvents are there.
Result<uint64_t> make_shared_event(DeviceFile& file);
// This process holds it too. kNotFound where there is none, or its creator does not have it any more;
// kFailedPrecondition where it is this process's own.
Status hold_shared_event(DeviceFile& file, uint64_t id);
void let_go_of_event(DeviceFile& file, uint64_t id);

// Of an event that this process holds. The number of a recording that begins.
uint64_t begin_recording(DeviceFile& file, uint64_t id);
// All recordings up to `number` are over.
void finish_recording(DeviceFile& file, uint64_t id, uint64_t number);
uint64_t newest_recording(DeviceFile& file, uint64_t id);
bool is_over(DeviceFile& file, uint64_t id, uint64_t number);

// For the file itself, under its lock.
void leave_events_locked(DeviceFileLayout& layout, uint32_t process);

}  // namespace tessera::softgpu
