// Device memory by the driver's virtual memory management. Charges nobody: who has a budget to keep puts that
// around create() and release().
#pragma once

#include "cuda/abi.h"
#include "cuda/driver_table.h"
#include "memory/device_memory.h"

namespace tessera::memory {

class DriverMemory : public DeviceMemory {
 public:
  // kUnsupported where the driver or the device has no such management. `driver` outlives what is made.
  // `exportable`: granules can be shared with other processes by descriptors.
  static Result<DriverMemory> of_device(const cuda::DriverTable& driver, CUdevice device, bool exportable);
  // Memory of `device` that `reader` has access to, and no other. kUnsupported where it does not reach that.
  static Result<DriverMemory> of_peer(const cuda::DriverTable& driver, CUdevice device, CUdevice reader);

  uint64_t granularity() const override { return granularity_; }
  Result<uint64_t> reserve(uint64_t bytes) override;
  Status unreserve(uint64_t address, uint64_t bytes) override;
  Result<Handle> create() override;
  Status release(Handle granule) override;
  Status map(uint64_t address, std::span<const Handle> granules) override;
  Status unmap(uint64_t address, uint64_t granules) override;

 private:
  DriverMemory(const cuda::DriverTable& driver, const CUmemAllocationProp& properties)
      : driver_(driver), properties_(properties), reader_(properties.location) {}

  const cuda::DriverTable& driver_;
  CUmemAllocationProp properties_;
  CUmemLocation reader_;
  uint64_t granularity_ = 0;
};

}  // namespace tessera::memory
