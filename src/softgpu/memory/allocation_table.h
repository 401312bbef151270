// All memory the driver knows in this process, by address: what unified addressing and pointer attributes
// stand on.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "common/status.h"

namespace tessera::softgpu {

enum class MemoryKind : uint8_t {
  kDevice,
  kPool,        // device memory from a stream-ordered pool
  kPinned,      // cuMemAllocHost, cuMemHostAlloc
  kRegistered,  // cuMemHostRegister
  kManaged,
  kGraph,     // of allocation nodes of graphs
  kVirtual,   // physical memory where cuMemMap has put it
  kImported,  // another process's kDevice, by cuIpcOpenMemHandle
};

// Who frees it. A library's memory belongs to no context. What kernels take themselves (the device heap) is
// unknown to the API: find() does not show it.
enum class MemoryOwner : uint8_t { kProgram, kModule, kLibrary, kArray, kKernels };

struct Allocation {
  uint64_t begin = 0;
  uint64_t size = 0;  // as asked for
  MemoryKind kind = MemoryKind::kDevice;
  int device = 0;        // ordinal
  uint64_t context = 0;  // id of the context it belongs to
  uintptr_t context_handle = 0;
  uintptr_t pool_handle = 0;
  unsigned flags = 0;         // as given to cuMemHostAlloc, cuMemHostRegister, cuMemAllocManaged
  unsigned handle_types = 0;  // that its memory may be exported by
  MemoryOwner owner = MemoryOwner::kProgram;
  bool sync_memops = false;
  int opened_on = -1;     // device of the context that opened imported memory, which sees it as well
  uint64_t id = 0;        // CU_POINTER_ATTRIBUTE_BUFFER_ID
  uint64_t block_id = 0;  // of the physical memory, where that is not its own
  uint64_t range_begin =
      0;  // what the allocator gave, which may be larger; the reservation of virtual memory
  uint64_t range_size = 0;

  bool on_device() const {
    return kind == MemoryKind::kDevice || kind == MemoryKind::kPool || kind == MemoryKind::kGraph ||
           kind == MemoryKind::kVirtual || kind == MemoryKind::kImported;
  }
  // Managed memory but for variables, which are on a device for good.
  bool on_demand() const { return kind == MemoryKind::kManaged && owner == MemoryOwner::kProgram; }
  uint64_t end() const { return begin + size; }
};

// Device memory that the driver has taken for itself: modules, libraries, kernels' heaps. It never falls.
struct DriverTook {
  uint64_t bytes = 0;
  uint64_t beside_contexts_bytes = 0;  // of them: what belongs to no context
};

class AllocationTable {
 public:
  // The table of this process.
  static AllocationTable& instance();

  // Gives it its id. kAlreadyExists where it overlaps another one.
  Status insert(Allocation allocation);
  // The one that holds `address`.
  std::optional<Allocation> find(uint64_t address) const;
  // Removes the one that begins at `begin` where `matches` says so; exactly one caller gets it.
  template <typename Predicate>
  std::optional<Allocation> remove(uint64_t begin, Predicate&& matches) {
    std::lock_guard lock(mutex_);
    auto found = allocations_.find(begin);
    if (found == allocations_.end() || !matches(found->second)) return std::nullopt;
    Allocation allocation = found->second;
    allocations_.erase(found);
    return allocation;
  }
  // Whether all of [begin, begin + size) lies in one allocation.
  bool covers(uint64_t begin, uint64_t size) const;
  bool overlaps(uint64_t begin, uint64_t size) const;
  // Begins of what belongs to a context.
  std::vector<Allocation> of_context(uint64_t context) const;
  // Of that ordinal.
  std::vector<Allocation> of_device(int device) const;
  // Up to now, on the device of that ordinal.
  DriverTook driver_took(int device) const;
  // False where there is none.
  bool set_sync_memops(uint64_t address, bool value);

 private:
  template <typename Predicate>
  std::vector<Allocation> select(Predicate&& matches) const;

  mutable std::shared_mutex mutex_;
  std::map<uint64_t, Allocation> allocations_;
  std::map<int, DriverTook> driver_took_;  // by the device's ordinal
  uint64_t next_id_ = 1;
};

}  // namespace tessera::softgpu
