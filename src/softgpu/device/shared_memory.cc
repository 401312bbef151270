#include "softgpu/device/shared_memory.h"

#include <algorithm>

#include "softgpu/device/device_file.h"
#include "softgpu/device/device_file_layout.h"

namespace tessera::softgpu {
namespace {

SharedMemory* find_locked(DeviceFileLayout& layout, uint64_t id) {
  SharedMemory& entry = layout.shared_memory[id % kMaxSharedMemory];
  return id != 0 && entry.id == id && !entry.holders.empty() ? &entry : nullptr;
}

SharedMemory* find_locked(DeviceFileLayout& layout, const MemoryPlace& place) {
  for (uint32_t i = 0; i < layout.shared_memory_end; ++i) {
    SharedMemory& entry = layout.shared_memory[i];
    if (entry.place == place && !entry.holders.empty()) return &entry;
  }
  return nullptr;
}

// A free entry, filled but for its holders: it stays free until there is one.
Result<SharedMemory*> enter_locked(DeviceFileLayout& layout, const MemoryPlace& place, uint64_t size) {
  for (uint32_t i = 0; i < kMaxSharedMemory; ++i) {
    SharedMemory& entry = layout.shared_memory[i];
    if (!entry.holders.empty()) continue;
    entry.id = ++layout.next_unique * kMaxSharedMemory + i;
    entry.size = entry.allocated = size;
    entry.place = place;
    entry.pool = 0;
    entry.exporter = kNoProcess;
    entry.fd = -1;
    layout.shared_memory_end = std::max(layout.shared_memory_end, i + 1);
    return &entry;
  }
  return Status::error(Code::kResourceExhausted, "%u pieces of the device's memory are shared already",
                       kMaxSharedMemory);
}

// Looking through the table costs as much as it is long.
void shorten_locked(DeviceFileLayout& layout) {
  uint32_t& end = layout.shared_memory_end;
  while (end > 0 && layout.shared_memory[end - 1].holders.empty()) --end;
}

}  // namespace

Result<uint64_t> hold_shared_memory(DeviceFile& file, const MemoryPlace& place, uint64_t size) {
  DeviceFile::Lock lock(file);
  DeviceFileLayout& layout = file.layout();
  file.reap_locked();  // memory of the dead alone is nobody's, and may be this very piece
  SharedMemory* entry = find_locked(layout, place);
  if (entry == nullptr) {
    TESSERA_RETURN_IF_ERROR(file.check_room_locked(size));
    TESSERA_ASSIGN_OR_RETURN(entry, enter_locked(layout, place, size));
  }
  entry->holders.add(file.entry());
  return entry->id;
}

Result<uint64_t> export_memory(DeviceFile& file, const ExportedMemory& memory) {
  DeviceFile::Lock lock(file);
  DeviceFileLayout& layout = file.layout();
  file.reap_locked();
  TESSERA_ASSIGN_OR_RETURN(SharedMemory * entry, enter_locked(layout, memory.place, memory.size));
  entry->allocated = memory.allocated;
  entry->pool = memory.pool;
  entry->exporter = file.entry();
  entry->fd = memory.fd;
  layout.processes[file.entry()].used_bytes -= memory.size;
  entry->holders.add(file.entry());
  return entry->id;
}

Result<ExportedMemory> hold_exported_memory(DeviceFile& file, uint64_t id, uint64_t pool, pid_t* exporter) {
  DeviceFile::Lock lock(file);
  DeviceFileLayout& layout = file.layout();
  file.reap_locked();
  SharedMemory* entry = find_locked(layout, id);
  if (entry == nullptr || entry->pool != pool || entry->fd < 0 || entry->exporter >= kMaxProcesses ||
      !entry->holders.has(entry->exporter))
    return Status::error(Code::kNotFound, "the memory is not exported, or not any more");
  if (entry->exporter == file.entry())
    return Status::error(Code::kFailedPrecondition, "the memory is this process's own");
  entry->holders.add(file.entry());
  *exporter = layout.processes[entry->exporter].pid;
  return ExportedMemory{entry->place, entry->size, entry->allocated, entry->fd, entry->pool};
}

bool let_go_of_memory(DeviceFile& file, uint64_t id) {
  DeviceFile::Lock lock(file);
  SharedMemory* entry = find_locked(file.layout(), id);
  if (entry == nullptr) return false;
  entry->holders.remove(file.entry());
  const bool held = !entry->holders.empty();
  if (!held) shorten_locked(file.layout());
  return held;
}

bool is_held(DeviceFile& file, uint64_t id) {
  DeviceFile::Lock lock(file);
  return find_locked(file.layout(), id) != nullptr;
}

uint64_t unique_number(DeviceFile& file) {
  DeviceFile::Lock lock(file);
  return ++file.layout().next_unique;
}

uint64_t shared_bytes_locked(const DeviceFileLayout& layout) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < layout.shared_memory_end; ++i) {
    if (!layout.shared_memory[i].holders.empty()) bytes += layout.shared_memory[i].size;
  }
  return bytes;
}

uint64_t shared_bytes_locked(const DeviceFileLayout& layout, uint32_t process) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < layout.shared_memory_end; ++i) {
    if (layout.shared_memory[i].holders.has(process)) bytes += layout.shared_memory[i].size;
  }
  return bytes;
}

void leave_shared_locked(DeviceFileLayout& layout, uint32_t process) {
  for (uint32_t i = 0; i < layout.shared_memory_end; ++i) layout.shared_memory[i].holders.remove(process);
  shorten_locked(layout);
}

}  // namespace tessera::softgpu
