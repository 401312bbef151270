// Copies between the host's memory and a device's, as a memory space needs them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/status.h"

namespace tessera::memory {

class HostCopies {
 public:
  virtual ~HostCopies() = default;
  // Done when they return.
  virtual Status to_host(std::byte* to, uint64_t from, uint64_t bytes) = 0;
  virtual Status to_device(uint64_t to, const std::byte* from, uint64_t bytes) = 0;
  // The device has done everything that it was given before.
  virtual Status wait_for_device() = 0;
};

}  // namespace tessera::memory
