#include "softgpu/driver/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>

#include "common/log.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_memory.h"
#include "softgpu/driver/graph/graph_memory.h"
#include "softgpu/driver/imported_memory.h"
#include "softgpu/driver/managed_memory.h"
#include "softgpu/driver/memory_pool.h"
#include "softgpu/driver/state.h"
#include "softgpu/driver/virtual_memory.h"
#include "softgpu/driver/visibility.h"

namespace tessera::softgpu {
namespace {

constexpr uint64_t kPageBytes = 4096;

Allocation describe(Context& context, uint64_t begin, uint64_t size, MemoryKind kind, unsigned flags) {
  Allocation allocation;
  allocation.begin = begin;
  allocation.size = size;
  allocation.kind = kind;
  allocation.device = context.device().ordinal();
  allocation.context = context.id();
  allocation.context_handle = reinterpret_cast<uintptr_t>(context.handle());
  allocation.flags = flags;
  return allocation;
}

void release(const Allocation& allocation) {
  hide(allocation);
  switch (allocation.kind) {
    case MemoryKind::kManaged:
      if (allocation.on_demand()) {
        ManagedMemory::instance().give_back({allocation.range_begin, allocation.range_size});
        break;
      }
      ManagedMemory::instance().remove_fixed({allocation.range_begin, allocation.range_size});
      [[fallthrough]];
    case MemoryKind::kDevice:
    case MemoryKind::kImported:
      devices()[static_cast<size_t>(allocation.device)]->memory().give_back(
          {allocation.range_begin, allocation.range_size});
      break;
    case MemoryKind::kPinned:
      munmap(reinterpret_cast<void*>(allocation.range_begin), allocation.range_size);
      break;
    case MemoryKind::kPool:     // given back by its pool
    case MemoryKind::kGraph:    // kept for graphs
    case MemoryKind::kVirtual:  // by cuMemUnmap
    case MemoryKind::kRegistered:
      break;
  }
}

CUresult remove(uint64_t address, MemoryKind first, MemoryKind second, MemoryOwner owner, CUresult missing) {
  auto& table = AllocationTable::instance();
  auto ours = [=](const Allocation& a) { return (a.kind == first || a.kind == second) && a.owner == owner; };
  auto found = table.find(address);
  if (!found || found->begin != address || !ours(*found)) return missing;
  wait_for_users(found->begin);
  auto removed = table.remove(address, ours);
  if (!removed) return missing;  // another thread was faster
  release(*removed);
  return CUDA_SUCCESS;
}

}  // namespace

CUresult allocate_device(Context& context, uint64_t size, MemoryKind kind, unsigned flags, uint64_t alignment,
                         MemoryOwner owner, uint64_t* address) {
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  const bool managed = kind == MemoryKind::kManaged, on_demand = managed && owner == MemoryOwner::kProgram;
  auto range = on_demand ? ManagedMemory::instance().take(size, alignment)
                         : context.device().memory().take(size, alignment);
  if (!range.ok()) {
    LOG_INFO("memory", "%s", range.status().message().c_str());
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  Allocation allocation = describe(context, range->begin, size, kind, flags);
  allocation.owner = owner;
  if (owner == MemoryOwner::kLibrary) allocation.context = 0;
  allocation.range_begin = range->begin;
  allocation.range_size = range->size;
  if (managed && !on_demand) ManagedMemory::instance().add_fixed(*range);
  Status status = show(allocation, true);
  assert(status.ok());
  *address = range->begin;
  return CUDA_SUCCESS;
}

CUresult free_device(uint64_t address, MemoryOwner owner) {
  auto found = AllocationTable::instance().find(address);
  if (found && found->begin == address && found->kind == MemoryKind::kPool) {
    wait_for_users(found->begin);
    return free_to_pool_now(address);
  }
  if (GraphMemory::instance().find(address)) {
    wait_for_users(address);
    return GraphMemory::instance().free_now(address);
  }
  return remove(address, MemoryKind::kDevice, MemoryKind::kManaged, owner, CUDA_ERROR_INVALID_VALUE);
}

void release_device(uint64_t address, MemoryOwner owner) {
  auto removed = AllocationTable::instance().remove(
      address, [owner](const Allocation& a) { return a.kind == MemoryKind::kDevice && a.owner == owner; });
  assert(removed);
  release(*removed);
}

// A context that is torn down meanwhile may have been faster.
void release_imported(uint64_t address) {
  auto removed = AllocationTable::instance().remove(
      address, [](const Allocation& a) { return a.kind == MemoryKind::kImported; });
  if (removed) release(*removed);
}

CUresult allocate_pinned(Context& context, uint64_t size, unsigned flags, void** pointer) {
  if (size == 0) return CUDA_ERROR_INVALID_VALUE;
  const uint64_t rounded = (size + kPageBytes - 1) / kPageBytes * kPageBytes;
  if (rounded < size) return CUDA_ERROR_OUT_OF_MEMORY;
  void* memory = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  Allocation allocation =
      describe(context, reinterpret_cast<uint64_t>(memory), size, MemoryKind::kPinned, flags);
  allocation.range_begin = allocation.begin;
  allocation.range_size = rounded;
  if (!show(allocation, true).ok()) {
    // The program unmapped memory that is still registered, and the system reused the addresses.
    munmap(memory, rounded);
    return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  }
  *pointer = memory;
  return CUDA_SUCCESS;
}

CUresult free_pinned(void* pointer) {
  return remove(reinterpret_cast<uint64_t>(pointer), MemoryKind::kPinned, MemoryKind::kPinned,
                MemoryOwner::kProgram, CUDA_ERROR_INVALID_VALUE);
}

CUresult register_host(Context& context, void* pointer, uint64_t size, unsigned flags) {
  const uint64_t begin = reinterpret_cast<uint64_t>(pointer);
  if (size == 0 || pointer == nullptr || begin + size < begin) return CUDA_ERROR_INVALID_VALUE;
  const Status status = show(describe(context, begin, size, MemoryKind::kRegistered, flags),
                             (flags & CU_MEMHOSTREGISTER_READ_ONLY) == 0);
  return status.ok() ? CUDA_SUCCESS : CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
}

CUresult unregister_host(void* pointer) {
  return remove(reinterpret_cast<uint64_t>(pointer), MemoryKind::kRegistered, MemoryKind::kRegistered,
                MemoryOwner::kProgram, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
}

bool in_device_addresses(uint64_t address) {
  return GraphMemory::instance().contains(address) || ManagedMemory::instance().contains(address) ||
         VirtualMemory::instance().reservation(address) ||
         std::any_of(devices().begin(), devices().end(),
                     [address](Device* device) { return device->memory().contains(address); });
}

void free_context_memory(Context& context) {
  auto& table = AllocationTable::instance();
  for (const Allocation& allocation : table.of_context(context.id())) {
    auto removed = table.remove(allocation.begin, [&](const Allocation& a) { return a.id == allocation.id; });
    if (!removed) continue;
    if (removed->kind == MemoryKind::kPool) {
      return_to_pool(*removed);
    } else {
      if (removed->kind == MemoryKind::kImported) ImportedMemory::instance().forget(*removed);
      release(*removed);
    }
  }
}

}  // namespace tessera::softgpu
