// The life of memory made by cuMemCreate: it ends when neither a handle nor a mapping is left.
// Memory that another process made is charged here as well, for this process can keep it longer. NVIDIA's
// driver does not say how large it is: there its charge is that of its largest mapping. Pure; the caller
// holds a lock, across the driver's call too, for the driver reuses handles.
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
  // Whether this process has it.
  bool has(Handle handle) const { return memory_.contains(handle); }
  // Memory of another process, and what is charged for it: 0 where its size is not known. Where this process
  // has it already it has one handle more.
  void imported(Handle handle, const Charge& charge);
  void retained(Handle handle);
  // What has yet to be charged before so much of imported memory is mapped; and that it was.
  std::optional<Charge> uncharged(Handle handle, uint64_t bytes) const;
  void charged(Handle handle, uint64_t more) { memory_.at(handle).charge.bytes += more; }
  void mapped(CUdeviceptr address, uint64_t bytes, Handle handle);
  // What ended with this call and is to be credited. Handles never seen (the host's memory) end nothing.
  std::optional<Charge> released(Handle handle);
  std::vector<Charge> unmapped(CUdeviceptr address, uint64_t bytes);

 private:
  struct Memory {
    Charge charge;
    uint64_t handles = 1;
    uint64_t mappings = 0;
    bool imported = false;
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
