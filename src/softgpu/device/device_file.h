// The file that all processes on one software device share: who they are, what they hold, how busy they are.
//
// It is memory-mapped and guarded by a robust process-shared mutex. Nothing in it counts down when work ends:
// what is in use is always the sum over the entries of living processes, so a process that is killed, at any
// instruction, gives everything back as soon as somebody looks.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/fd.h"
#include "common/process_identity.h"
#include "common/status.h"
#include "softgpu/device/config.h"
#include "softgpu/device/health.h"
#include "softgpu/device/uuid.h"

namespace tessera::softgpu {

struct DeviceFileLayout;

// One process on the device, as others see it.
struct ProcessUse {
  ProcessIdentity process;
  std::string name;             // of its executable
  uint64_t used_bytes = 0;      // device memory, what it shares with others too
  uint64_t busy_ns = 0;         // slot time since it attached
  uint64_t window_busy_ns = 0;  // slot time within the window asked for
  uint32_t contexts = 0;
};

struct DeviceUse {
  uint64_t capacity_bytes = 0;
  uint64_t used_bytes = 0;
  uint64_t busy_ns = 0;         // slot time of all processes since the file was made
  uint64_t window_ns = 0;       // how much of the past `window_busy_ns` covers
  uint64_t window_busy_ns = 0;  // slot time; the device was busy window_busy_ns / (window_ns * sm_count)
  int sm_count = 0;
  std::vector<ProcessUse> processes;  // those with a context
  Health health{};
};

class DeviceFile {
 public:
  // Opens or makes the file of device `physical_index`. A file of another size or geometry is replaced when
  // no living process is attached to it, and rules otherwise: a device has one geometry at a
  // time. With `attach`, this process gets an entry and may charge memory and run; without, it only looks.
  static Result<std::unique_ptr<DeviceFile>> open(const Config& config, int physical_index, bool attach);
  ~DeviceFile();
  DeviceFile(const DeviceFile&) = delete;
  DeviceFile& operator=(const DeviceFile&) = delete;

  uint64_t capacity_bytes() const;
  int sm_count() const;
  DeviceUuid uuid() const;
  // Whether the path names another file by now: an observer opens anew.
  bool replaced() const;

  // Memory of this process. kResourceExhausted where the living processes leave less than `bytes`.
  Status charge(uint64_t bytes);
  void credit(uint64_t bytes);
  uint64_t free_bytes();
  void set_contexts(uint32_t contexts);

  // Everything about the device; dead processes are removed first. `window_ns` is cut to what is kept.
  DeviceUse use(uint64_t window_ns);

  // What is wrong with the device. First takes the commands that came in the control file, gpuN.control
  // beside this file, and ends what is over; what is refused is logged. One stat() where nothing came.
  Health health();
  // This process touched [begin, end): see strike() in health.h.
  bool strike(uint64_t begin, uint64_t end);
  void report_xid(uint32_t xid);
  // Volatile or aggregate.
  void clear_error_counts(bool aggregate);

  // For the slots (sm_slot.h) and tests.
  DeviceFileLayout& layout() { return *layout_; }
  uint32_t entry() const { return entry_; }  // this process's place in the table
  // Removes the entries of processes that are gone, with their slots. The lock must be held.
  void reap_locked();
  // The same, for whoever polls: not if somebody did so a moment ago.
  void reap_now_and_then();
  void reap_now_and_then_locked(uint64_t now);
  // kResourceExhausted where the living processes leave less than `bytes`. The lock must be held.
  Status check_room_locked(uint64_t bytes);
  // Holds the device's lock; made consistent where its owner died.
  class Lock {
   public:
    explicit Lock(DeviceFile& file);
    ~Lock();
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    DeviceFile& file_;
  };

 private:
  DeviceFile() = default;
  Status attach_locked();
  void take_commands_locked();
  void follow_health_locked();
  void changed_health_locked();
  bool lived_in();
  uint64_t used_locked() const;

  std::string path_;
  const DeviceModel* model_ = nullptr;
  UniqueFd fd_;
  dev_t device_ = 0;  // with the next, which file it is
  ino_t inode_ = 0;
  DeviceFileLayout* layout_ = nullptr;
  uint32_t entry_ = 0;
  bool attached_ = false;
  std::atomic<uint64_t> asked_ns_{0};  // when this process last asked whether it is time
};

}  // namespace tessera::softgpu
