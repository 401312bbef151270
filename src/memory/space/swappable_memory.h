// Device memory whose granules are on the device only while they are wanted there: addresses for a pool, and
// behind each granule of them physical memory, a copy in the host's memory, or nothing yet.
//
// Nothing here sees what kernels touch: granules are brought in and pinned for those who are about to use
// them. Which unpinned one goes when another must come: those that are said to be of little use first, then
// the others, those to be kept last; among equals what reclaim/page_reclaim.h learns from when they were
// wanted.
//
// Not thread-safe.
#pragma once

#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "memory/device_memory.h"
#include "memory/reclaim/page_reclaim.h"
#include "memory/space/host_copies.h"
#include "memory/swap/host_store.h"

namespace tessera::memory {

enum class Keep : uint8_t { kLeast, kNormal, kMost };

struct SwapFigures {
  uint64_t on_device_bytes = 0, on_host_bytes = 0;
  uint64_t moved_in_bytes = 0, moved_out_bytes = 0;  // up to now
};

class SwappableMemory : public DeviceMemory {
 public:
  // At most `most_bytes` are on the device at once; 0: what it gives.
  SwappableMemory(DeviceMemory& lower, HostCopies& copies, uint64_t most_bytes);

  uint64_t granularity() const override { return lower_.granularity(); }
  Result<uint64_t> reserve(uint64_t bytes) override { return lower_.reserve(bytes); }
  Status unreserve(uint64_t address, uint64_t bytes) override { return lower_.unreserve(address, bytes); }
  // These need no memory of the device.
  Result<Handle> create() override { return next_++; }
  Status release(Handle) override { return {}; }
  Status map(uint64_t address, std::span<const Handle> granules) override;
  Status unmap(uint64_t address, uint64_t granules) override;

  // Of the granules that [begin, end) touches. All or nothing is pinned; kResourceExhausted: the device has
  // no room beside what is pinned, or the host has none for what would have to go.
  Status pin(uint64_t begin, uint64_t end);
  void unpin(uint64_t begin, uint64_t end);
  // On the device without being pinned; and off it, but for what is pinned.
  Status move_in(uint64_t begin, uint64_t end);
  Status move_out(uint64_t begin, uint64_t end);
  void set_keep(uint64_t begin, uint64_t end, Keep keep);

  // Wherever it is. What nobody has written is zeros, or what a block that was there before left.
  Status write(uint64_t address, const std::byte* from, uint64_t bytes);
  Status read(uint64_t address, std::byte* to, uint64_t bytes);

  uint64_t bytes_on_device(uint64_t begin, uint64_t end) const;
  SwapFigures figures() const;

 private:
  enum class Where : uint8_t { kNowhere, kDevice, kHost };
  struct Granule {
    Where where = Where::kNowhere;
    Keep keep = Keep::kNormal;
    uint32_t slot = 0;    // kHost
    Handle physical = 0;  // kDevice
    uint32_t pins = 0;
    uint64_t wanted = 0;  // when: a count
  };
  using Granules = std::map<uint64_t, Granule>;  // by address
  struct Candidate {                             // for leaving the device
    Keep keep;
    uint64_t wanted, address;
    bool operator<(const Candidate& other) const {
      return std::tie(keep, wanted, address) < std::tie(other.keep, other.wanted, other.address);
    }
  };

  Granules::iterator first(uint64_t begin) { return granules_.find(begin / granularity() * granularity()); }
  template <typename Body>
  Status each(uint64_t begin, uint64_t end, Body body);
  static Candidate candidate(const Granules::value_type& granule) {
    return {granule.second.keep, granule.second.wanted, granule.first};
  }
  void change(Granules::value_type& granule, const Granule& now);
  Status bring(Granules::value_type& granule);
  Status make_room();
  uint64_t victim();
  Result<Handle> make_physical();
  Status evict(Granules::value_type& granule);
  Status write_granule(Granules::value_type& granule, uint64_t offset, const std::byte* from, uint64_t bytes);

  DeviceMemory& lower_;
  HostCopies& copies_;
  const uint64_t most_;  // granules
  HostStore store_;
  Granules granules_;
  std::set<Candidate> candidates_;  // on the device and not pinned
  PageReclaim reclaim_{2};          // of all that is on the device; pages are addresses
  Handle next_ = 1;
  uint64_t clock_ = 0, on_device_ = 0;
  SwapFigures figures_;  // of moves
};

}  // namespace tessera::memory
