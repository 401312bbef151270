// Copies of granules off a device and back: to the host's memory, or to memory of another device.
//
// Each on the default stream of its thread, in the context that is current: nothing else is on the device. A
// driver that copies to memory which is not pinned does so in the calling thread; so several threads make
// them.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/driver_table.h"
#include "memory/swap/swap_store.h"
#include "virtualization/residency/helpers.h"

namespace tessera::vgpu {

class GranuleCopies : public memory::SwapStore::Transfer {
 public:
  enum class Way : uint8_t { kOut, kIn };

  // Of the granules at those addresses.
  GranuleCopies(const cuda::DriverTable& driver, Helpers& helpers, std::vector<uint64_t> addresses,
                uint64_t granule_bytes, Way way)
      : driver_(driver),
        helpers_(helpers),
        addresses_(std::move(addresses)),
        bytes_(granule_bytes),
        way_(way) {}

  Status begin(size_t number, uint8_t* host) override;
  // The same, to or from another device's memory.
  void begin_between_devices(size_t number, uint64_t other);
  Status wait() override;

 private:
  struct Copy {
    uint64_t address, other;
    bool between_devices;
  };

  Status copy(Helpers::Parts& parts);
  Status copy(const Copy& copy);

  const cuda::DriverTable& driver_;
  Helpers& helpers_;
  const std::vector<uint64_t> addresses_;
  const uint64_t bytes_;
  const Way way_;
  std::vector<Copy> begun_;
};

}  // namespace tessera::vgpu
