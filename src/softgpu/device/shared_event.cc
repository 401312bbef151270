#include "softgpu/device/shared_event.h"

#include <algorithm>
#include <cassert>

#include "softgpu/device/device_file.h"
#include "softgpu/device/device_file_layout.h"

namespace tessera::softgpu {
namespace {

SharedEvent& entry_of(DeviceFile& file, uint64_t id) {
  return file.layout().shared_events[id % kMaxSharedEvents];
}

void raise_to(std::atomic<uint64_t>& value, uint64_t least) {
  uint64_t now = value.load(std::memory_order_relaxed);
  while (now < least && !value.compare_exchange_weak(now, least, std::memory_order_release)) {
  }
}

}  // namespace

Result<uint64_t> make_shared_event(DeviceFile& file) {
  DeviceFile::Lock lock(file);
  DeviceFileLayout& layout = file.layout();
  for (uint32_t i = 0; i < kMaxSharedEvents; ++i) {
    SharedEvent& entry = layout.shared_events[i];
    if (!entry.holders.empty()) continue;
    entry.id = ++layout.next_unique * kMaxSharedEvents + i;
    entry.creator = file.entry();
    entry.recorder = kNoProcess;
    entry.recorded.store(0, std::memory_order_relaxed);
    entry.finished.store(0, std::memory_order_relaxed);
    layout.shared_events_end = std::max(layout.shared_events_end, i + 1);
    entry.holders.add(file.entry());
    return entry.id;
  }
  return Status::error(Code::kResourceExhausted, "the device has %u interprocess events already",
                       kMaxSharedEvents);
}

Status hold_shared_event(DeviceFile& file, uint64_t id) {
  DeviceFile::Lock lock(file);
  file.reap_locked();
  SharedEvent& entry = entry_of(file, id);
  if (id == 0 || entry.id != id || entry.creator >= kMaxProcesses || !entry.holders.has(entry.creator))
    return Status::error(Code::kNotFound, "there is no such event, or not any more");
  if (entry.creator == file.entry())
    return Status::error(Code::kFailedPrecondition, "the event is this process's own");
  entry.holders.add(file.entry());
  return {};
}

void let_go_of_event(DeviceFile& file, uint64_t id) {
  DeviceFile::Lock lock(file);
  SharedEvent& entry = entry_of(file, id);
  assert(entry.id == id);
  entry.holders.remove(file.entry());
}

// Whoever is killed between the two writes is its recorder already.
uint64_t begin_recording(DeviceFile& file, uint64_t id) {
  DeviceFile::Lock lock(file);
  SharedEvent& entry = entry_of(file, id);
  entry.recorder = file.entry();
  return entry.recorded.fetch_add(1, std::memory_order_relaxed) + 1;
}

void finish_recording(DeviceFile& file, uint64_t id, uint64_t number) {
  raise_to(entry_of(file, id).finished, number);
}

uint64_t newest_recording(DeviceFile& file, uint64_t id) {
  return entry_of(file, id).recorded.load(std::memory_order_acquire);
}

bool is_over(DeviceFile& file, uint64_t id, uint64_t number) {
  return entry_of(file, id).finished.load(std::memory_order_acquire) >= number;
}

void leave_events_locked(DeviceFileLayout& layout, uint32_t process) {
  for (uint32_t i = 0; i < layout.shared_events_end; ++i) {
    SharedEvent& entry = layout.shared_events[i];
    entry.holders.remove(process);
    if (entry.recorder != process) continue;
    entry.recorder = kNoProcess;  // its place will be another's
    raise_to(entry.finished, entry.recorded.load(std::memory_order_relaxed));
  }
}

}  // namespace tessera::softgpu
