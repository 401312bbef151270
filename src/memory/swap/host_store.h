// Where the contents of granules wait that are not on the device: memory of the host, in slots of one
// granule.
//
// A slot costs memory from the moment that something is written to it. What is given back serves the next one
// without faults as long as the host has memory that nobody uses, and is Linux's to take back where it is
// short. Huge pages go to the host at once where that has little free memory, but for a few: Linux takes them
// back piece by piece, and has no huge ones then. Not thread-safe. Child processes do not get it, and core
// dumps leave it out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "common/status.h"

namespace tessera::memory {

class HostStore {
 public:
  // Of the host; 0: not known.
  struct Memory {
    uint64_t available_bytes = 0;  // may be had now
    uint64_t free_bytes = 0;       // nobody uses it for anything
    uint64_t total_bytes = 0;
  };
  using Look = Memory (*)();
  // What is left to the host: a store that took its last page would have other programs killed.
  static constexpr uint64_t kLeaveBytes = uint64_t{256} << 20;
  // A host has little free memory where less than one part in so many is; what of slots is kept all the same.
  // What is free for long may be dearer than what was just used: as in a virtual machine that gives it back.
  static constexpr uint64_t kLittlePart = 12, kKeptBytes = uint64_t{64} << 20;

  // Whether each slot is filled to its end.
  enum class Filling : uint8_t { kWhole, kPartly };
  // `slot_bytes`: of whole pages. `numa_node`: whose memory it is to be, as long as that has any.
  explicit HostStore(uint64_t slot_bytes, std::optional<uint32_t> numa_node = std::nullopt,
                     Filling filling = Filling::kWhole, Look look = &look_at_host);
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

  // What Linux says: what can be had without swapping, and what is free (MemAvailable and MemFree of
  // proc(5)).
  static Memory look_at_host();

 private:
  static constexpr uint32_t kSegmentSlots = 64;
  static constexpr uint32_t kLookEvery = 16;  // slots between two looks at the host

  Status add_segment();
  bool keeps_another();

  const uint64_t slot_bytes_;
  const std::optional<uint32_t> numa_node_;
  const Filling filling_;
  const Look look_;
  std::vector<std::byte*> segments_;
  // Those that may have memory still, and those that have none.
  std::vector<uint32_t> kept_, empty_;
  uint64_t used_slots_ = 0;
  uint32_t until_look_ = 0, until_free_look_ = 0;
  bool has_free_ = true;  // the host, when it was looked at
};

}  // namespace tessera::memory
