// Virtual memory management: reserved addresses, physical memory mapped there, and which devices may use it.
//
// A mapping is an allocation in the table; a device's kernels see it once cuMemSetAccess has said so.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/physical_memory.h"
#include "softgpu/memory/range_allocator.h"
#include "softgpu/memory/reserved_addresses.h"

namespace tessera::softgpu {

class VirtualMemory {
 public:
  // Of this process.
  static VirtualMemory& instance();

  CUresult reserve(uint64_t size, uint64_t alignment, uint64_t hint, uint64_t* begin);
  // CUDA_ERROR_INVALID_VALUE where that is no whole reservation, or something is mapped in it.
  CUresult free(uint64_t begin, uint64_t size);
  // The reservation that holds `address`.
  std::optional<RangeAllocator::Range> reservation(uint64_t address) const;

  CUresult create(Device& device, uint64_t size, const CUmemAllocationProp& properties,
                  CUmemGenericAllocationHandle* handle);
  // A new descriptor, the caller's. CUDA_ERROR_INVALID_VALUE for memory that was not made to be exported.
  CUresult export_file(CUmemGenericAllocationHandle handle, int* fd);
  // Memory that the process has already is given out once more, by the handle that it has.
  CUresult import_file(int fd, CUmemGenericAllocationHandle* handle);
  CUresult release(CUmemGenericAllocationHandle handle);
  // The handle that `address` was mapped by.
  CUresult retain(uint64_t address, CUmemGenericAllocationHandle* handle);
  CUresult properties(CUmemGenericAllocationHandle handle, CUmemAllocationProp* properties) const;

  CUresult map(uint64_t address, uint64_t size, CUmemGenericAllocationHandle handle);
  // One or several whole mappings that adjoin; waits for what uses them.
  CUresult unmap(uint64_t address, uint64_t size);
  // The same of mappings. The locations have been checked.
  CUresult set_access(uint64_t address, uint64_t size, std::span<const CUmemAccessDesc> wanted);
  CUresult get_access(Device& device, uint64_t address, CUmemAccess_flags* flags) const;

 private:
  struct Mapping {
    uint64_t size = 0;
    CUmemGenericAllocationHandle handle = 0;
  };
  using Mappings = std::map<uint64_t, Mapping>;  // by where it begins

  const ReservedAddresses* reservation_locked(uint64_t address) const;
  Mappings::const_iterator mapping_locked(uint64_t address) const;
  // Where the mappings begin that together are exactly this range; nothing where there are no such mappings.
  std::vector<uint64_t> mappings_locked(uint64_t address, uint64_t size) const;
  bool free_for_mapping_locked(uint64_t address, uint64_t size) const;
  void enter_locked(uint64_t address, uint64_t size, const PhysicalHandles::Handle& handle);

  mutable std::shared_mutex mutex_;
  std::map<uint64_t, ReservedAddresses> reservations_;
  Mappings mappings_;
  PhysicalHandles handles_;
};

}  // namespace tessera::softgpu
