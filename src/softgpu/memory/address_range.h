// Addresses that a kernel may touch.
#pragma once

#include <cstdint>

namespace tessera::softgpu {

struct AddressRange {
  uint64_t begin = 0;
  uint64_t end = 0;  // one past the last byte
  bool writable = true;
  bool on_demand = false;  // its pages are asked for before they are touched (demand_pages.h)

  bool contains(uint64_t address, uint64_t size) const {
    return address >= begin && address < end && size <= end - address;
  }
};

}  // namespace tessera::softgpu
