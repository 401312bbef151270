// Memory of a device that several processes hold: it counts once, as long as one of its holders lives.
//
// The device's file says who holds what. A part of a file in memory is known by that file and its place in
// it, so whoever comes by the file, by whatever way, finds that it is counted already.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "common/status.h"
#include "softgpu/device/process_set.h"

namespace tessera::softgpu {

class DeviceFile;

constexpr uint32_t kMaxSharedMemory = 4096;  // pieces of a device

// A part of a file in memory.
struct MemoryPlace {
  uint64_t device, inode;  // st_dev and st_ino of the file
  uint64_t offset;
  bool operator==(const MemoryPlace&) const = default;
};

// One piece, in the device's file.
struct SharedMemory {
  ProcessSet holders;  // none: the entry is free
  uint64_t id;         // never 0, never given twice; its remainder by kMaxSharedMemory is its place
  uint64_t size;       // that counts
  uint64_t allocated;  // of it, as the exporting program asked for
  MemoryPlace place;
  // Where it can be opened by its id: descriptor `fd` of process `exporter`, while that holds it.
  uint64_t pool;      // the pool that it is of; 0: of none
  uint32_t exporter;  // place of the process
  int32_t fd;         // below 0: by its id nobody can open it
};

// What a process makes known, and what others find.
struct ExportedMemory {
  MemoryPlace place{};
  uint64_t size = 0, allocated = 0;
  int fd = -1;  // of the exporter
  uint64_t pool = 0;
};

// This process holds the memory from now on; the answer is its id. It is charged unless a living process
// holds it already: kResourceExhausted as DeviceFile::charge(), or where kMaxSharedMemory are held.
Result<uint64_t> hold_shared_memory(DeviceFile& file, const MemoryPlace& place, uint64_t size);
// The same for memory that is charged to this process alone, and from now on to all its holders. Other
// processes may open it by the id.
Result<uint64_t> export_memory(DeviceFile& file, const ExportedMemory& memory);
// Holds memory of that id, as long as its exporter has it. kNotFound where there is none of that pool;
// kFailedPrecondition where it is this process's own, which is not held once more.
Result<ExportedMemory> hold_exported_memory(DeviceFile& file, uint64_t id, uint64_t pool, pid_t* exporter);
// This process holds it no more. True where others do.
bool let_go_of_memory(DeviceFile& file, uint64_t id);
// Whether anybody holds it; the dead do until somebody looks for them.
bool is_held(DeviceFile& file, uint64_t id);
// A number that no other process on the device is given.
uint64_t unique_number(DeviceFile& file);

// For the file itself, under its lock.
struct DeviceFileLayout;
uint64_t shared_bytes_locked(const DeviceFileLayout& layout);
uint64_t shared_bytes_locked(const DeviceFileLayout& layout, uint32_t process);
void leave_shared_locked(DeviceFileLayout& layout, uint32_t process);

}  // namespace tessera::softgpu
