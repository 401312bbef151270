// Memory that a device may touch page by page: what is not mapped on it faults, and comes.
#pragma once

#include <cstdint>

#include "softgpu/memory/address_range.h"

namespace tessera::softgpu {

class DemandPages {
 public:
  virtual ~DemandPages() = default;
  // The device is about to touch [address, address + bytes), in memory that is there: a range around it that
  // it may touch now without asking, until the generation of its address map changes. Empty: it is not there.
  virtual AddressRange touch(uint64_t address, uint64_t bytes, bool write) = 0;
};

}  // namespace tessera::softgpu
