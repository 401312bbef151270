// The program's memory that the device can use - pinned, registered, managed - as it is on the server: a
// piece of the same size, at the same address where that is free. What the program has changed comes with
// messages before the work that could see it; what the device has changed goes back at each point where the
// program may look.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "common/bytes.h"
#include "cuda/driver_table.h"
#include "remote/wire/changes.h"

namespace tessera::remote {

// Safe from any thread.
class HostMirrors {
 public:
  // Of a session.
  struct Limits {
    uint64_t bytes = uint64_t{64} << 30;       // of all mirrors
    uint64_t kept_bytes = uint64_t{64} << 30;  // of addresses that stay mapped when their mirrors are gone
    size_t mirrors = 16384;
    size_t pages = 1 << 20;  // 4 GiB of them
  };

  explicit HostMirrors(const cuda::DriverTable& driver) : HostMirrors(driver, Limits()) {}
  HostMirrors(const cuda::DriverTable& driver, const Limits& limits) : driver_(driver), limits_(limits) {}
  ~HostMirrors();

  // Memory of the client at `address`, pinned here with `flags` of cuMemHostRegister. The device's address of
  // it in `device`.
  CUresult add(uint64_t address, uint64_t bytes, unsigned flags, CUdeviceptr* device);
  // Managed memory that the driver has made: both sides have it at `address`.
  CUresult add_managed(uint64_t address, uint64_t bytes);
  CUresult remove(uint64_t address);
  // Its bytes; 0 where there is no managed memory.
  uint64_t forget_managed(uint64_t address);
  // Code with managed variables may have gone, or a context: whose memory the driver knows no more is not
  // looked at again.
  void forget_gone_managed();
  // Where the client's bytes are here, or null.
  std::byte* find(uint64_t address, uint64_t bytes);
  // What the program has changed.
  bool put_changes(const Changes& changes);
  // The device may read and write it by itself: it is compared at each synchronisation.
  bool watch(uint64_t address);

  // What the client calls this memory of ours; as it is where it is none of the client's.
  const void* clients_address(const void* place);

  void launched() { has_launched_.store(true, std::memory_order_relaxed); }
  // A copy into the mirror of [address, address + bytes) is in the stream.
  void copy_comes(uint64_t address, uint64_t bytes, CUstream stream);
  // Calls `copied` with what copies have written, and `changed` with what kernels and graphs have.
  void collect(const std::function<void(uint64_t address, ByteSpan bytes)>& copied,
               const std::function<void(const Changes& changes)>& changed);

 private:
  struct Mirror {
    uint64_t bytes = 0;
    std::byte* place = nullptr;
    bool is_mapped = false;        // by us
    bool is_registered = false;    // with the driver
    bool is_unregistered = false;  // memory that only copies use, on pages_
    bool is_watched = false;
    std::vector<std::byte> last;  // what both sides had, where watched
  };
  struct Copy {
    uint64_t address, bytes;
    CUevent event;
  };

  Mirror* mirror_of(uint64_t address, uint64_t bytes, uint64_t* offset);
  bool has_room(uint64_t address, uint64_t bytes) const;
  std::byte* map_in_place(uint64_t address, uint64_t bytes);
  bool covered(uint64_t address, uint64_t bytes, std::vector<uint64_t>& found) const;
  std::byte* map_elsewhere(uint64_t address, uint64_t bytes);
  std::byte* place_for_unregistered(uint64_t address, uint64_t bytes);
  CUresult add_unregistered(uint64_t address, uint64_t bytes);
  void begin_watching(Mirror& mirror);
  void drop(Mirror& mirror);

  const cuda::DriverTable& driver_;
  const Limits limits_;
  std::mutex lock_;
  std::map<uint64_t, Mirror> mirrors_;
  std::set<uint64_t> pages_;                // of unregistered mirrors, mapped until the session ends
  std::map<uint64_t, std::byte*> windows_;  // of the client's addresses, by number: where such are elsewhere
  std::vector<Copy> copies_;
  uint64_t total_bytes_ = 0;
  uint64_t kept_bytes_ = 0;  // of pages_, of windows_, and of what lies elsewhere and in none
  std::atomic<bool> has_launched_{false};
};

}  // namespace tessera::remote
