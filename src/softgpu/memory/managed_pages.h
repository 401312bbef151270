// Where the pages of managed memory are: with the host, with devices, or with one of them and mapped by
// others.
//
// Bookkeeping alone. A software GPU's memory is the host's, so there is one copy of a page whoever has it;
// what moves is whose capacity it counts on, and who may touch it without a fault. A device's fault brings
// the page to it, and the pages brought longest ago leave a device that is full: as on a card, nothing tells
// of later accesses. Where nothing can leave, the page is mapped where it is. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "softgpu/memory/address_range.h"

namespace tessera::softgpu {

// As CUmemLocation.
struct PageLocation {
  enum class Kind : uint8_t { kNone = 0, kDevice = 1, kHost = 2, kHostNuma = 3, kHostNumaCurrent = 4 };
  Kind kind = Kind::kNone;
  int16_t id = 0;
  bool operator==(const PageLocation&) const = default;
  bool is_device(uint32_t device) const { return kind == Kind::kDevice && id == static_cast<int>(device); }
};

struct PageFigures {
  uint64_t resident_bytes = 0;
  // Up to now:
  uint64_t faults = 0;
  uint64_t brought_bytes = 0;  // by faults and prefetches
  uint64_t evicted_bytes = 0;  // to make room
  uint64_t remote_faults = 0;  // of the faults: the page was mapped where it was
};

class ManagedPages {
 public:
  static constexpr uint64_t kPageBytes = uint64_t{64} << 10;
  static constexpr uint32_t kMaxDevices = 64;
  static constexpr uint32_t kHostBit = kMaxDevices - 1;  // the host, among those that advice names

  // The devices, as far as pages concern them.
  class Devices {
   public:
    virtual ~Devices() = default;
    virtual bool take(uint32_t device, uint64_t bytes) = 0;  // false: it is full
    virtual void give_back(uint32_t device, uint64_t bytes) = 0;
    // Some page may not be touched any more, or not written: what was answered is to be asked for again.
    virtual void unmapped(uint32_t device) = 0;
  };

  explicit ManagedPages(Devices& devices) : devices_(devices) {}

  // Memory that is on the host, page by page. `fixed`: it counts elsewhere, and stays mapped by all.
  void insert(uint64_t begin, uint64_t size, bool fixed);
  void erase(uint64_t begin);

  // A device's access, as DemandPages::touch().
  AddressRange touch(uint32_t device, uint64_t address, uint64_t bytes, bool write);

  // The next are of [begin, begin + size), which lies in one piece of memory, rounded to pages.
  // To the device, from which other pages leave for them; or to the host.
  void prefetch(uint64_t begin, uint64_t size, PageLocation to);
  void set_read_mostly(uint64_t begin, uint64_t size, bool on);
  void set_preferred(uint64_t begin, uint64_t size, PageLocation location);
  // By a device, or kHostBit.
  void set_accessed_by(uint64_t begin, uint64_t size, uint32_t who, bool on);

  // What all pages of a range agree on.
  struct Advice {
    bool read_mostly = true;
    std::optional<PageLocation> preferred, prefetched;  // none: they differ
    uint64_t accessed_by = ~uint64_t{0};                // bits
  };
  Advice advice(uint64_t begin, uint64_t size) const;

  // Pages leave the device until so many bytes have; how many did.
  uint64_t reclaim(uint32_t device, uint64_t bytes);
  const PageFigures& figures(uint32_t device) const { return figures_[device]; }

 private:
  struct Page {
    uint64_t resident = 0;     // bits of the devices that have it
    uint64_t mapped = 0;       // and of those that may touch it
    uint64_t accessed_by = 0;  // and of those that always may
    uint64_t brought = 0;      // when last: a count
    PageLocation preferred, prefetched;
    bool read_mostly = false;
  };
  struct Memory {
    uint64_t begin = 0, size = 0;
    bool fixed = false;
    std::vector<Page> pages;  // cut at multiples of kPageBytes; the first and the last may be smaller
    uint64_t end() const { return begin + size; }
    size_t index_of(uint64_t address) const { return address / kPageBytes - begin / kPageBytes; }
    uint64_t begin_of(size_t index) const;
    uint64_t end_of(size_t index) const;
    uint64_t bytes_of(size_t index) const { return end_of(index) - begin_of(index); }
  };
  // Pages that a request is about do not leave for one another.
  struct Spared {
    uint64_t begin, end;
  };
  using Entry = std::pair<uint64_t, uint64_t>;  // Page::brought, the page's first address

  Memory* find(uint64_t address);
  const Memory* find(uint64_t address) const;
  template <typename Body>
  void each(uint64_t begin, uint64_t size, Body body);

  static bool may_write(const Page& page);
  AddressRange run_around(const Memory& memory, uint32_t device, uint64_t address, uint64_t bytes) const;
  void fault(Memory& memory, size_t index, uint32_t device, bool write, const Spared& spared);
  bool bring(Memory& memory, size_t index, uint32_t device, bool copy, const Spared& spared);
  bool make_room(uint32_t device, const Spared& spared);
  void leave(Memory& memory, size_t index, uint32_t device);
  void leave_others(Memory& memory, size_t index, uint32_t device);

  Devices& devices_;
  std::map<uint64_t, Memory> memory_;                  // by begin
  std::array<std::set<Entry>, kMaxDevices> resident_;  // by device, longest there first
  std::array<PageFigures, kMaxDevices> figures_{};
  uint64_t clock_ = 0;
};

}  // namespace tessera::softgpu
