// The streaming multiprocessors of a device, shared by processes: a slot runs one process at a time.
//
// Waiting processes ask the holders of slots that have had their quantum to give them up, by the slot's stop
// flag, which running blocks watch. A slot that is given up goes straight to the waiting process that holds
// the fewest of those that may use it; where that is a tie, never back to the one that gave it up. A process
// may use all slots until it is confined to some, or to some number of them. Whoever dies holding one loses
// it to the next who looks.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "common/index_set.h"
#include "softgpu/device/device_file.h"

namespace tessera::softgpu {

constexpr uint64_t kSlotQuantumNs = 2'000'000;

class SmSlots {
 public:
  explicit SmSlots(DeviceFile& file);

  static constexpr uint32_t kNoSlot = UINT32_MAX;
  // Waits for a slot of the device and takes it: of several `preferred`, or else the first.
  uint32_t acquire(uint32_t preferred = kNoSlot);
  // Gives it up; its time is charged, while it rested excepted.
  void release(uint32_t slot);
  // Nothing runs any more in a slot that is held, or something does again. Whoever waits for the end of a
  // kernel may run before its slot is given up, for milliseconds on a busy machine: that is nobody's GPU
  // time. Before others can see the end. Only by who holds the slot: what he has had of it until then is
  // charged now and then, as he may end before he comes to give it up.
  void rest(uint32_t slot, uint64_t now_ns);
  void work(uint32_t slot) { rests_since_[slot].store(kWorks, std::memory_order_relaxed); }
  // Charges the time so far, so that long work shows while it runs.
  void charge(uint32_t slot);
  // Set while somebody wants the slot; holders call yield() then. A flag set too late is harmless.
  const std::atomic<bool>& stop(uint32_t slot) const;
  // Time in which this process held at least one slot that did not rest, since it attached. Never goes back.
  uint64_t active_ns();
  // Interrupts whatever this process runs, in every slot.
  void interrupt_own();
  // Only these are taken from now on; the holders of others are stopped, to yield() them.
  void confine(const IndexSet& sms);
  // No more than `count` of those it may use at once; before it holds any.
  void hold_at_most(uint32_t count);
  // While parked, the process counts as one that waits for nothing.
  void park(bool parked);
  // Gives the slot to whoever waits and gets one again, as above; the same one at once where nobody does.
  uint32_t yield(uint32_t slot);

 private:
  uint32_t held_locked(uint32_t process) const;
  void charge_locked(uint32_t slot, uint64_t now);
  void count_claimed_locked(uint64_t now);
  void count_given_up_locked(uint64_t until);
  bool claim_locked(uint32_t preferred, uint32_t* slot);
  bool has_its_most_locked(uint32_t process) const;
  void hand_over_locked(uint32_t slot);
  void request_stops_locked(uint64_t now);
  bool waits_locked(uint32_t process, uint32_t slot) const;
  bool others_wait_locked(uint32_t slot) const;

  uint64_t busy_until(uint32_t slot, uint64_t now) const {
    return std::min(now, rests_since_[slot].load(std::memory_order_relaxed));
  }

  static constexpr uint64_t kWorks = UINT64_MAX;
  DeviceFile& file_;
  std::vector<std::atomic<uint64_t>> rests_since_;  // by slot
  uint64_t active_until_ns_ = 0;                    // of what was counted or told; under the file's lock
};

}  // namespace tessera::softgpu
