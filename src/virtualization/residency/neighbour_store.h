// Granules of another GPU's memory in which this process keeps what has left its own: physical memory there,
// mapped for the process's own device and no other, so that the own device's engines copy, and no context
// there is needed.
//
// What is taken is charged as BudgetKind::kNeighbour, on one GPU at a time; another one is asked once the
// last granule has come back. Each granule has its place reserved in the host's memory, where that is
// bounded: so it can always be given back. The driver clears memory before others get it, as it does with
// what leaves the process's own device. Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cuda/driver_table.h"
#include "memory/driver_memory.h"
#include "virtualization/lease/account.h"

namespace tessera::vgpu {

// A GPU that is not the slice's, as the driver numbers it in this process.
struct Neighbour {
  CUdevice ordinal;
  std::string uuid;
};

class NeighbourStore {
 public:
  // Where none has had room, or something went wrong there, nobody is asked for so long.
  static constexpr uint64_t kPauseNs = 1'000'000'000;

  // Those of `neighbours` that `own` reaches are used.
  NeighbourStore(const cuda::DriverTable& driver, CUdevice own, const std::vector<Neighbour>& neighbours,
                 uint64_t granule_bytes, Account& account, uint32_t device);

  bool can_offer(uint64_t now_ns) const { return !reachable_.empty() && now_ns >= not_before_ns_; }
  // Slots of a granule each: up to `most`, perhaps none.
  std::vector<uint32_t> take(size_t most, uint64_t now_ns);
  // For the own device's copies.
  uint64_t address(uint32_t slot) const { return slots_[slot].address; }
  // `whose`: who tells the daemon.
  enum class Credit : uint8_t { kHere, kCaller };
  void give_back(uint32_t slot, Credit whose);
  // Copies there have failed.
  void pause(uint64_t now_ns) { not_before_ns_ = now_ns + kPauseNs; }
  uint64_t used_bytes() const { return used_ * granule_bytes_; }

 private:
  struct Reachable {
    std::string uuid;
    memory::DriverMemory memory;
  };
  struct Slot {
    uint64_t address = 0;
    memory::DeviceMemory::Handle granule = 0;
  };
  static constexpr size_t kSegmentSlots = 64;

  Reachable& current() { return reachable_[current_]; }
  // On the GPU where some are, or on the first one that has room.
  bool charge(uint64_t bytes);
  std::optional<uint32_t> take_one();
  bool add_addresses();

  const uint64_t granule_bytes_;
  Account& account_;
  const uint32_t device_;
  std::vector<Reachable> reachable_;
  size_t current_ = 0;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;  // of them: addresses without memory
  uint64_t used_ = 0;
  uint64_t not_before_ns_ = 0;
};

}  // namespace tessera::vgpu
