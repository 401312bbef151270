// The memory of one device in this process: charged to the shared device file, placed in the arena, or in the
// arena of another process that shares it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/status.h"
#include "softgpu/device/device_file.h"
#include "softgpu/device/shared_memory.h"
#include "softgpu/memory/arena.h"
#include "softgpu/memory/memory_file.h"

namespace tessera::softgpu {

class DeviceMemory {
 public:
  static Result<std::unique_ptr<DeviceMemory>> create(DeviceFile& file);

  // Asked where the device is full: whether at least so many bytes are free now that were something else's of
  // this process.
  void set_make_room(std::function<bool(uint64_t bytes)> make_room) { make_room_ = std::move(make_room); }

  // For memory that lies elsewhere and counts here. kResourceExhausted where the device has not that much.
  Status charge(uint64_t bytes);
  void credit(uint64_t bytes) { file_.credit(bytes); }

  // kResourceExhausted where the device, or the machine, has not that much.
  Result<RangeAllocator::Range> take(uint64_t size, uint64_t alignment = Arena::kGranularity);
  // Of take() or import(). Other processes that have opened it keep it: its place is not used again
  // meanwhile.
  void give_back(RangeAllocator::Range range);
  bool contains(uint64_t address) const { return arena_->contains(address); }

  // Memory without addresses, which can be mapped where it is wanted, also in several places.
  struct Pages {
    std::shared_ptr<MemoryFile> file;
    uint64_t offset = 0, size = 0;
    uint64_t shared_id = 0;  // of shared_memory.h, where they are shareable
  };
  static constexpr uint64_t kPagesGranularity = 2u << 20;  // a card's, for size, place and offset
  // `size` is a multiple of kPagesGranularity. Zeros. kResourceExhausted as take().
  Result<Pages> take_pages(uint64_t size);
  // The same in a file of their own, which other processes can be given.
  Result<Pages> take_shareable_pages(const std::string& name, uint64_t size);
  // All of a file that another process took so; a device counts it once.
  Result<Pages> adopt_pages(std::shared_ptr<MemoryFile> file);
  void give_back_pages(const Pages& pages);

  // What other processes may import() memory of take() by; the same at each call, and another one's when the
  // memory has been given back. `pool`: that it is of, 0 for none. kResourceExhausted where too much is
  // shared.
  // `allocated` of its bytes are the program's.
  Result<uint64_t> export_range(RangeAllocator::Range range, uint64_t allocated, uint64_t pool);
  // Whether it is exported or imported memory: what holds it ends with give_back() alone.
  bool is_shared(RangeAllocator::Range range) const;
  // Memory that another process exported, at addresses of its own here; give_back() ends it. kNotFound where
  // it is not there any more, kFailedPrecondition where it is this process's, kPermissionDenied where the
  // system does not let this process have it.
  struct Imported {
    RangeAllocator::Range range;
    uint64_t allocated;
  };
  Result<Imported> import(uint64_t id, uint64_t pool);

 private:
  // Exported, or imported to these addresses.
  struct Shared {
    uint64_t id;
    std::optional<ReservedAddresses> addresses;
  };
  struct Lent {
    RangeAllocator::Range range;
    uint64_t id;
  };
  DeviceMemory(DeviceFile& file, std::unique_ptr<Arena> arena);
  Result<Pages> place_pages(uint64_t size);
  Result<Imported> map_exported_locked(uint64_t id, const ExportedMemory& memory, pid_t exporter);
  void end_shared_locked(const Shared& shared, RangeAllocator::Range range);
  void take_back_lent_locked();

  DeviceFile& file_;
  std::function<bool(uint64_t bytes)> make_room_;
  mutable std::mutex mutex_;  // the members below
  std::unique_ptr<Arena> arena_;
  // One file for all pages that are not shareable: descriptors are the program's, and few.
  std::shared_ptr<MemoryFile> pages_;  // null before the first are taken
  RangeAllocator offsets_;             // in it
  std::map<uint64_t, Shared> shared_;  // by the range's begin
  std::vector<Lent> lent_;             // given back, and still held by other processes
};

}  // namespace tessera::softgpu
