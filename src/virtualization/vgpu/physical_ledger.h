// The life of memory made by cuMemCreate: it ends when neither a handle nor a mapping is left.
// Pure; the caller holds a lock, across the driver's call too, for the driver reuses handles.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "virtualization/vgpu/charge_registry.h"

namespace tessera::vgpu {

class PhysicalLedger {
 public:
  using Handle = CUmemGenericAllocationHandle;

  void created(Handle handle, const Charge& charge);
  void retained(Handle handle);
  void mapped(CUdeviceptr address, uint64_t bytes, Handle handle);
  // What ended with this call and is to be credited. Handles never seen (imported ones) end nothing.
  std::optional<Charge> released(Handle handle);
  std::vector<Charge> unmapped(CUdeviceptr address, uint64_t bytes);

 private:
  struct Memory {
    Charge charge;
    uint64_t handles = 1;
    uint64_t mappings = 0;
  };
  struct Mapping {
    uint64_t bytes;
    Handle handle;
  };
  std::optional<Charge> end_if_unused(Handle handle);

  std::unordered_map<Handle, Memory> memory_;
  std::map<CUdeviceptr, Mapping> mappings_;
};

}  // namespace tessera::vgpu
