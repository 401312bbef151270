#include "softgpu/device/sm_slot.h"

#include <algorithm>
#include <cassert>
#include <tuple>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/futex.h"
#include "softgpu/device/device_file_layout.h"

namespace tessera::softgpu {
namespace {

// How long a waiter sleeps before it looks again whether holders live and have had their quantum.
constexpr uint64_t kPollNs = kSlotQuantumNs / 2;

}  // namespace

SmSlots::SmSlots(DeviceFile& file) : file_(file), rests_since_(static_cast<size_t>(file.sm_count())) {}

uint32_t SmSlots::held_locked(uint32_t process) const {
  const DeviceFileLayout& layout = file_.layout();
  return static_cast<uint32_t>(std::count_if(layout.slots, layout.slots + layout.sm_count,
                                             [process](const SlotEntry& s) { return s.owner == process; }));
}

void SmSlots::charge_locked(uint32_t slot, uint64_t now) {
  DeviceFileLayout& layout = file_.layout();
  SlotEntry& entry = layout.slots[slot];
  if (now <= entry.charged_ns) return;
  ProcessEntry& process = layout.processes[file_.entry()];
  process.busy_ns += now - entry.charged_ns;
  process.history.add(entry.charged_ns, now);
  layout.busy_ns += now - entry.charged_ns;
  layout.history.add(entry.charged_ns, now);
  entry.charged_ns = now;
}

void SmSlots::count_claimed_locked(uint64_t now) {
  ProcessEntry& self = file_.layout().processes[file_.entry()];
  if (self.slots_held++ == 0) self.active_since_ns = now;
}

// The last slot to be given up need not be the one in which something ran last.
void SmSlots::count_given_up_locked(uint64_t until) {
  ProcessEntry& self = file_.layout().processes[file_.entry()];
  active_until_ns_ = std::max({active_until_ns_, until, self.active_since_ns});
  if (--self.slots_held == 0) self.active_ns += active_until_ns_ - self.active_since_ns;
}

uint64_t SmSlots::active_ns() {
  DeviceFile::Lock lock(file_);
  const ProcessEntry& self = file_.layout().processes[file_.entry()];
  if (self.slots_held == 0) return self.active_ns;
  const DeviceFileLayout& layout = file_.layout();
  const uint64_t now = monotonic_ns();
  active_until_ns_ = std::max(active_until_ns_, self.active_since_ns);
  for (uint32_t i = 0; i < layout.sm_count; ++i) {
    if (layout.slots[i].owner == file_.entry() && layout.slots[i].claimed != 0)
      active_until_ns_ = std::max(active_until_ns_, busy_until(i, now));
  }
  return self.active_ns + (active_until_ns_ - self.active_since_ns);
}

bool SmSlots::has_its_most_locked(uint32_t process) const {
  const uint32_t most = file_.layout().processes[process].most_slots;
  return most != 0 && held_locked(process) >= most;
}

// A slot that was handed to this process, or a free one.
bool SmSlots::claim_locked(uint32_t preferred, uint32_t* slot) {
  DeviceFileLayout& layout = file_.layout();
  const uint32_t self = file_.entry();
  const bool has_most = has_its_most_locked(self);
  SlotEntry* found = nullptr;
  std::pair<bool, bool> best_rank;
  for (uint32_t i = 0; i < layout.sm_count; ++i) {
    SlotEntry& entry = layout.slots[i];
    if (!layout.processes[self].sms.contains(i)) continue;
    const bool handed = entry.owner == self && entry.claimed == 0;
    if (!handed && (entry.owner != kNoProcess || has_most)) continue;
    const std::pair<bool, bool> rank(!handed, i != preferred);
    if (found != nullptr && rank >= best_rank) continue;
    found = &entry;
    best_rank = rank;
  }
  if (found == nullptr) return false;
  found->owner = self;
  found->claimed = 1;
  found->since_ns = found->charged_ns = monotonic_ns();
  found->stop.store(false, std::memory_order_relaxed);
  count_claimed_locked(found->since_ns);
  *slot = static_cast<uint32_t>(found - layout.slots);
  work(*slot);
  return true;
}

bool SmSlots::waits_locked(uint32_t process, uint32_t slot) const {
  const ProcessEntry& entry = file_.layout().processes[process];
  return entry.pid != 0 && entry.waiting != 0 && entry.parked == 0 && entry.sms.contains(slot) &&
         !has_its_most_locked(process);
}

bool SmSlots::others_wait_locked(uint32_t slot) const {
  for (uint32_t i = 0; i < file_.layout().processes_end; ++i) {
    if (i != file_.entry() && waits_locked(i, slot)) return true;
  }
  return false;
}

// Asks for as many slots as this process waits for, from processes that hold more, oldest holding first.
void SmSlots::request_stops_locked(uint64_t now) {
  DeviceFileLayout& layout = file_.layout();
  const uint32_t self = file_.entry();
  if (has_its_most_locked(self)) return;
  const uint32_t held = held_locked(self);
  std::vector<SlotEntry*> ripe;
  uint32_t asked = 0;
  for (uint32_t i = 0; i < layout.sm_count; ++i) {
    SlotEntry& entry = layout.slots[i];
    if (entry.owner == self || entry.owner >= kMaxProcesses || entry.claimed == 0) continue;
    if (!layout.processes[self].sms.contains(i)) continue;
    if (entry.stop.load(std::memory_order_relaxed)) {
      ++asked;
    } else if (now - entry.since_ns >= kSlotQuantumNs && held_locked(entry.owner) > held) {
      ripe.push_back(&entry);
    }
  }
  std::sort(ripe.begin(), ripe.end(),
            [](const SlotEntry* a, const SlotEntry* b) { return a->since_ns < b->since_ns; });
  for (SlotEntry* entry : ripe) {
    if (asked++ >= layout.processes[self].waiting) break;
    entry->stop.store(true, std::memory_order_relaxed);
  }
}

uint32_t SmSlots::acquire(uint32_t preferred) {
  DeviceFileLayout& layout = file_.layout();
  ProcessEntry& self = layout.processes[file_.entry()];
  bool queued = false;
  for (;;) {
    uint32_t word;
    {
      DeviceFile::Lock lock(file_);
      uint32_t slot = 0;
      if (claim_locked(preferred, &slot)) {
        if (queued && --self.waiting != 0) self.wait_ticket = ++layout.next_ticket;
        return slot;
      }
      if (!queued) {
        queued = true;
        if (self.waiting++ == 0) self.wait_ticket = ++layout.next_ticket;
      }
      const uint64_t now = monotonic_ns();
      file_.reap_now_and_then_locked(now);
      request_stops_locked(now);
      word = self.wakeups.load(std::memory_order_relaxed);
    }
    wait_for_change(self.wakeups, word, kPollNs);
  }
}

// To the waiting process that may use it and holds the fewest; the one that gives up comes last among equals.
void SmSlots::hand_over_locked(uint32_t slot) {
  DeviceFileLayout& layout = file_.layout();
  layout.slots[slot].owner = kNoProcess;
  layout.slots[slot].claimed = 0;
  layout.slots[slot].stop.store(false, std::memory_order_relaxed);
  uint32_t best = kNoProcess;
  std::tuple<uint32_t, bool, uint64_t> best_rank;
  for (uint32_t i = 0; i < layout.processes_end; ++i) {
    if (!waits_locked(i, slot)) continue;
    std::tuple<uint32_t, bool, uint64_t> rank(held_locked(i), i == file_.entry(),
                                              layout.processes[i].wait_ticket);
    if (best == kNoProcess || rank < best_rank) {
      best = i;
      best_rank = rank;
    }
  }
  if (best == kNoProcess) return;
  layout.slots[slot].owner = best;
  layout.slots[slot].since_ns = monotonic_ns();
  layout.processes[best].wakeups.fetch_add(1, std::memory_order_relaxed);
  wake_all(layout.processes[best].wakeups);
}

void SmSlots::release(uint32_t slot) {
  DeviceFile::Lock lock(file_);
  assert(file_.layout().slots[slot].owner == file_.entry());
  const uint64_t until = busy_until(slot, monotonic_ns());
  charge_locked(slot, until);
  count_given_up_locked(until);
  hand_over_locked(slot);
}

void SmSlots::rest(uint32_t slot, uint64_t now_ns) {
  rests_since_[slot].store(now_ns, std::memory_order_relaxed);
  // Nobody else changes it while the slot is held.
  if (now_ns < file_.layout().slots[slot].charged_ns + kSlotQuantumNs) return;
  DeviceFile::Lock lock(file_);
  charge_locked(slot, now_ns);
}

void SmSlots::charge(uint32_t slot) {
  DeviceFile::Lock lock(file_);
  charge_locked(slot, monotonic_ns());
}

const std::atomic<bool>& SmSlots::stop(uint32_t slot) const { return file_.layout().slots[slot].stop; }

void SmSlots::interrupt_own() {
  DeviceFile::Lock lock(file_);
  DeviceFileLayout& layout = file_.layout();
  for (uint32_t i = 0; i < layout.sm_count; ++i) {
    if (layout.slots[i].owner == file_.entry()) layout.slots[i].stop.store(true, std::memory_order_relaxed);
  }
}

void SmSlots::confine(const IndexSet& sms) {
  DeviceFile::Lock lock(file_);
  DeviceFileLayout& layout = file_.layout();
  ProcessEntry& self = layout.processes[file_.entry()];
  self.sms = sms;
  for (uint32_t i = 0; i < layout.sm_count; ++i) {
    SlotEntry& entry = layout.slots[i];
    if (entry.owner != file_.entry() || sms.contains(i)) continue;
    if (entry.claimed != 0) {
      entry.stop.store(true, std::memory_order_relaxed);
    } else {
      hand_over_locked(i);
    }
  }
  // Whoever waits may find a free one among those that are new.
  self.wakeups.fetch_add(1, std::memory_order_relaxed);
  wake_all(self.wakeups);
}

void SmSlots::hold_at_most(uint32_t count) {
  DeviceFile::Lock lock(file_);
  file_.layout().processes[file_.entry()].most_slots = count;
}

void SmSlots::park(bool parked) {
  DeviceFile::Lock lock(file_);
  file_.layout().processes[file_.entry()].parked = parked ? 1 : 0;
}

uint32_t SmSlots::yield(uint32_t slot) {
  DeviceFileLayout& layout = file_.layout();
  {
    DeviceFile::Lock lock(file_);
    SlotEntry& entry = layout.slots[slot];
    const uint64_t now = monotonic_ns();
    charge_locked(slot, now);
    const bool may_stay = layout.processes[file_.entry()].sms.contains(slot);
    if (may_stay && !others_wait_locked(slot)) {
      entry.stop.store(false, std::memory_order_relaxed);
      return slot;
    }
    // Joins the queue before it lets go, so that its own place is weighed with the others'.
    ProcessEntry& self = layout.processes[file_.entry()];
    if (self.waiting++ == 0) self.wait_ticket = ++layout.next_ticket;
    count_given_up_locked(now);
    hand_over_locked(slot);
    --self.waiting;
  }
  return acquire(slot);
}

}  // namespace tessera::softgpu
