// Copies by the driver, in the device's primary context, which programs on CUDA's runtime work in as well.
#pragma once

#include "cuda/driver_table.h"
#include "memory/space/host_copies.h"

namespace tessera::memory {

class DriverCopies : public HostCopies {
 public:
  // Retains the primary context. `driver` outlives it.
  static Result<DriverCopies> of_device(const cuda::DriverTable& driver, CUdevice device);
  DriverCopies(DriverCopies&& other) noexcept;
  ~DriverCopies() override;

  Status to_host(std::byte* to, uint64_t from, uint64_t bytes) override;
  Status to_device(uint64_t to, const std::byte* from, uint64_t bytes) override;
  Status wait_for_device() override;

 private:
  DriverCopies(const cuda::DriverTable& driver, CUdevice device, CUcontext context)
      : driver_(&driver), device_(device), context_(context) {}
  template <typename Call>
  Status in_context(const char* name, Call call);

  const cuda::DriverTable* driver_;
  CUdevice device_;
  CUcontext context_;
};

}  // namespace tessera::memory
