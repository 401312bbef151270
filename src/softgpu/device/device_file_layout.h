// The bytes of the device file. Changing anything here means a new kLayoutVersion.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "common/index_set.h"
#include "softgpu/device/config.h"
#include "softgpu/device/control_file.h"
#include "softgpu/device/health.h"
#include "softgpu/device/process_set.h"
#include "softgpu/device/shared_event.h"
#include "softgpu/device/shared_memory.h"
#include "softgpu/device/usage_history.h"
#include "softgpu/device/uuid.h"

namespace tessera::softgpu {

constexpr uint64_t kDeviceFileMagic = 0x5550'4754'464f'5331;
constexpr uint32_t kLayoutVersion = 7;
constexpr uint32_t kNoProcess = UINT32_MAX;

struct ProcessEntry {
  int32_t pid;  // 0: free
  uint32_t contexts;
  uint64_t start_ticks;
  uint64_t used_bytes;  // its alone
  uint64_t busy_ns;
  uint64_t active_ns;             // time with a slot at least, up to active_since_ns
  uint64_t active_since_ns;       // while slots_held is not 0
  uint32_t slots_held;            // and picked up
  uint32_t waiting;               // threads that wait for a slot
  uint32_t parked;                // its work is suspended: it waits for no slot, whatever its threads do
  uint32_t most_slots;            // that it may hold at once, however many it may use; 0: all
  IndexSet sms;                   // that it may use
  uint64_t wait_ticket;           // order among waiting processes
  std::atomic<uint32_t> wakeups;  // futex word: changes when a slot was given to this process
  char name[60];
  UsageHistory history;
};

struct SlotEntry {
  uint32_t owner;          // index of a process, or kNoProcess
  uint32_t claimed;        // a thread of the owner runs on it (else it was handed over and not picked up yet)
  uint64_t since_ns;       // when the owner got it
  uint64_t charged_ns;     // busy time is charged up to here
  std::atomic<bool> stop;  // the owner is asked to give it up
};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<uint32_t>::is_always_lock_free &&
              std::atomic<uint64_t>::is_always_lock_free);

struct DeviceFileLayout {
  uint64_t magic;
  uint32_t version;
  uint32_t sm_count;
  uint64_t capacity_bytes;
  DeviceUuid uuid;
  pthread_mutex_t mutex;  // robust, shared between processes
  uint64_t busy_ns;
  uint64_t next_ticket;
  uint64_t reaped_ns;          // when somebody last looked for the dead
  uint32_t processes_end;      // entries from here on have never been used
  uint32_t shared_memory_end;  // as above
  uint32_t shared_events_end;
  std::atomic<uint32_t> health_word;  // futex word: changes with the health
  uint64_t next_unique;
  UsageHistory history;
  Health health;
  std::atomic<uint64_t> looked_ns;  // when one of those that watch it last did, see health_watch.h
  ControlPosition control;
  ProcessEntry processes[kMaxProcesses];
  SlotEntry slots[kMaxSms];
  SharedMemory shared_memory[kMaxSharedMemory];
  SharedEvent shared_events[kMaxSharedEvents];
};

}  // namespace tessera::softgpu
