// Where the contents of granules wait that are not on the device: memory of the host, in slots of one
// granule.
//
// A slot costs memory from the moment that something is written to it. What is given back goes to the host
// where that is short of memory, and serves the next one without faults where it is not. Not thread-safe.
// Child processes do not get it, and core dumps leave it out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/status.h"

namespace tessera::memory {

class HostStore {
 public:
  // Bytes of the host's memory that may be had now; 0: not known.
  using Available = uint64_t (*)();
  // What is left to the host: a store that took its last page would have other programs killed.
  static constexpr uint64_t kLeaveBytes = uint64_t{256} << 20;

  // Whether each slot is filled to its end.
  enum class Filling : uint8_t { kWhole, kPartly };
  // `slot_bytes`: of whole pages. `numa_node`: whose memory it is to be, as long as that has any.
  explicit HostStore(uint64_t slot_bytes, std::optional<uint32_t> numa_node = std::nullopt,
                     Filling filling = Filling::kWhole, Available available = &available_host_bytes);
  ~HostStore();
  HostStore(const HostStore&) = delete;
  HostStore& operator=(const HostStore&) = delete;

  // kResourceExhausted where the host has too little memory left.
  Result<uint32_t> take();
  void give_back(uint32_t slot);
  // Of a slot no more is needed than this many bytes, whole pages.
  void shorten(uint32_t slot, uint64_t bytes);
  std::byte* at(uint32_t slot) const;
  uint64_t used_bytes() const { return used_slots_ * slot_bytes_; }

  // What Linux says can be had without swapping (MemAvailable of proc(5)).
  static uint64_t available_host_bytes();

 private:
  static constexpr uint32_t kSegmentSlots = 64;
  static constexpr uint32_t kLookEvery = 16;  // slots between two looks at what is available

  Status add_segment();

  const uint64_t slot_bytes_;
  const std::optional<uint32_t> numa_node_;
  const Filling filling_;
  const Available available_;
  std::vector<std::byte*> segments_;
  std::vector<uint32_t> free_;
  uint64_t used_slots_ = 0;
  uint32_t until_look_ = 0;
};

}  // namespace tessera::memory
