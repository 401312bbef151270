// A process's memory on a device that may be more than the device holds: blocks from a pool, which are on the
// device while the program says that it uses them, and otherwise where there is room.
//
// Thread-safe: one thread at a time is inside, also while memory is copied.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "memory/pool/pool.h"
#include "memory/space/swappable_memory.h"

namespace tessera::memory {

struct SpaceBlock {
  uint64_t begin = 0, bytes = 0;
  uint64_t on_device_bytes = 0;
  Keep keep = Keep::kNormal;
  uint32_t acquired = 0;  // how often, without a release yet
};

struct SpaceFigures {
  uint64_t blocks = 0, allocated_bytes = 0;
  SwapFigures swap;  // by granules
};

class MemorySpace {
 public:
  // Both outlive it. As SwappableMemory.
  MemorySpace(DeviceMemory& lower, HostCopies& copies, uint64_t most_bytes);
  // The device must not use any of it any more.
  ~MemorySpace();
  MemorySpace(const MemorySpace&) = delete;
  MemorySpace& operator=(const MemorySpace&) = delete;

  // Addresses: memory comes when the block is acquired or written.
  Result<uint64_t> allocate(uint64_t bytes);
  // Waits for the device. kFailedPrecondition where it is acquired. In this and what follows an address is
  // one that allocate() gave; kNotFound otherwise.
  Status free(uint64_t address);

  // All blocks are on the device, and stay there until each has been released as often; or none is acquired.
  Status acquire(std::span<const uint64_t> addresses);
  // kFailedPrecondition where one is not acquired: then none is released.
  Status release(std::span<const uint64_t> addresses);
  Status advise(uint64_t address, Keep keep);
  Status move_in(uint64_t address);
  // kFailedPrecondition where it is acquired. What it shares with others that are, stays.
  Status move_out(uint64_t address);

  // Of one block, from any address in it.
  Status write(uint64_t address, const void* from, uint64_t bytes);
  Status read(uint64_t address, void* to, uint64_t bytes);

  // The block that holds the address.
  Result<SpaceBlock> query(uint64_t address);
  SpaceFigures figures();

 private:
  struct Block {
    uint64_t bytes = 0;
    uint32_t acquired = 0;
    Keep keep = Keep::kNormal;
  };
  using Blocks = std::map<uint64_t, Block>;

  Result<Blocks::iterator> block_at(uint64_t address);       // that begins there
  Result<Blocks::iterator> block_around(uint64_t address);   // that holds it
  Result<Blocks::iterator> idle_block_at(uint64_t address);  // that is not acquired
  Status check_inside(uint64_t address, uint64_t bytes);

  std::mutex mutex_;
  HostCopies& copies_;
  SwappableMemory memory_;
  Pool pool_;
  Blocks blocks_;
  uint64_t allocated_ = 0;
};

}  // namespace tessera::memory
