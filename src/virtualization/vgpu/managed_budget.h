// What of a slice's memory a process's managed memory may take on a device, where the driver can keep it to
// that.
//
// Managed memory is charged in full as long as the slice has room, and with what is left beyond: then so much
// of it is on the device at once, and the rest stays on the host until kernels fault for it. Other memory
// goes before it: what it has beyond a least is given up for that. Pure; not thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "virtualization/lease/protocol.h"

namespace tessera::vgpu {

class ManagedBudget {
 public:
  // With less on a device kernels would fault for every page that they touch.
  static constexpr uint64_t kLeastBytes = uint64_t{4} << 20;

  // No address space holds more; what a program asks for beyond is refused before it is counted here, as such
  // sums have no end.
  static constexpr uint64_t kMostBytes = uint64_t{1} << 56;

  // After each: no more than `limit` is to be on the device, and then `credit` goes back to the slice.
  struct Change {
    uint64_t limit = 0, credit = 0;
  };
  // `charged` of it, for this allocation of at most kMostBytes.
  Change allocated(uint32_t device, uint64_t bytes, uint64_t charged);
  Change freed(uint32_t device, uint64_t bytes);
  // For other memory of so many bytes, or as much as there is.
  Change give_up(uint32_t device, uint64_t bytes);

  uint64_t charged(uint32_t device) const { return devices_[device].charged; }

 private:
  struct Device {
    uint64_t allocated = 0, charged = 0;
  };
  std::array<Device, kMaxDevicesPerSlice> devices_;
};

}  // namespace tessera::vgpu
