// Memory of cuMemCreate: it has no address before it is mapped, and may have several then. It is given back
// when neither a handle nor a mapping is left.
//
// Shareable memory is a file of its own, named after its device, and its descriptor is what is exported.
// The device counts it once, as long as a process that holds it lives.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "cuda/abi.h"
#include "softgpu/driver/device_memory.h"

namespace tessera::softgpu {

class Device;

class PhysicalMemory {
 public:
  // kResourceExhausted where the device has not that much.
  static Result<std::shared_ptr<PhysicalMemory>> create(Device& device, uint64_t size, bool shareable);
  // kInvalidArgument where the file is none that create() made on one of this process's devices.
  static Result<std::shared_ptr<PhysicalMemory>> import(std::shared_ptr<MemoryFile> file);
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  Device& device() const { return device_; }
  uint64_t size() const { return pages_.size; }
  // CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID.
  uint64_t id() const { return id_; }
  bool shareable() const { return shareable_; }
  const MemoryFile& file() const { return *pages_.file; }
  // Its first `size` bytes, at addresses that are reserved.
  Status map(uint64_t address, uint64_t size) const { return pages_.file->map(address, pages_.offset, size); }

 private:
  PhysicalMemory(Device& device, DeviceMemory::Pages pages, bool shareable);

  Device& device_;
  const DeviceMemory::Pages pages_;
  const bool shareable_;
  const uint64_t id_;
};

// Handles as programs hold them. Not thread-safe. One goes when it has been released as often as it was given
// out and nothing is mapped by it: until then cuMemRetainAllocationHandle may give it out again.
class PhysicalHandles {
 public:
  struct Handle {
    std::shared_ptr<PhysicalMemory> memory;
    CUmemAllocationProp properties{};
    uint64_t given_out = 1;
    uint64_t mappings = 0;
  };

  CUmemGenericAllocationHandle add(std::shared_ptr<PhysicalMemory> memory,
                                   const CUmemAllocationProp& properties);
  // Null where there is none, or where the program has released it (`given_out_only`).
  const Handle* find(CUmemGenericAllocationHandle handle, bool given_out_only = true) const;
  // The handle of shareable memory that this process has already; 0 where it has not.
  CUmemGenericAllocationHandle holder_of(const MemoryFile& file) const;
  void mapped(CUmemGenericAllocationHandle handle) { ++handles_.at(handle).mappings; }
  void unmapped(CUmemGenericAllocationHandle handle);
  void retained(CUmemGenericAllocationHandle handle) { ++handles_.at(handle).given_out; }
  // False where the program has none.
  bool released(CUmemGenericAllocationHandle handle);

 private:
  void forget_if_unused(CUmemGenericAllocationHandle handle);

  std::unordered_map<CUmemGenericAllocationHandle, Handle> handles_;
};

}  // namespace tessera::softgpu
