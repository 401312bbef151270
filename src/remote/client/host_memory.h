// The program's memory that the device can use, with what the server had of it last.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "common/bytes.h"
#include "cuda/abi.h"

namespace tessera::remote {

enum class HostKind : uint8_t {
  kPinned,      // made by cuMemHostAlloc
  kRegistered,  // the program's own, by cuMemHostRegister
  kManaged,
  kImplicit,  // ordinary memory that a captured copy names
};

struct HostRange {
  uint64_t address = 0;
  uint64_t bytes = 0;
  HostKind kind = HostKind::kPinned;
  unsigned flags = 0;
  CUdeviceptr device = 0;  // what kernels call it
  CUcontext context = nullptr;
  bool is_watched = false;  // the device may read and write it by itself
};

// Safe from any thread.
class HostMemory {
 public:
  void add(const HostRange& range, const std::byte* last_known = nullptr);
  bool remove(uint64_t address);
  // Takes the place of all implicit ranges that [address, address + bytes) touches: with them it is one
  // range. False where it touches another kind.
  bool join_implicit(uint64_t* address, uint64_t* bytes);
  // The range that holds [address, address + bytes), if one does.
  bool find(uint64_t address, uint64_t bytes, HostRange* range);
  // Begins comparing it; true where it was not watched before.
  bool watch(uint64_t address);
  bool has_any() const { return count_.load(std::memory_order_relaxed) != 0; }
  bool watches_any() const { return watched_.load(std::memory_order_relaxed) != 0; }
  // Ranges that are named by a word of these bytes and are not watched yet: a kernel may follow it.
  std::vector<uint64_t> named_in(ByteSpan bytes);
  // Pinned and registered ranges that are named by a word of these bytes.
  std::vector<HostRange> pinned_in(ByteSpan bytes);

  // Calls `send` with each run of pages that the program has changed.
  void publish(const std::function<void(uint64_t address, ByteSpan bytes)>& send);
  // Where bytes from the server go: all of it inside of one range, or nothing.
  std::span<std::byte> place_for(uint64_t address, uint64_t bytes);
  // Ordinary memory that may have been given back: whether it was one's, and was written.
  bool put_implicit(uint64_t address, ByteSpan bytes);
  void arrived(uint64_t address, ByteSpan bytes);

 private:
  struct Kept {
    HostRange range;
    std::vector<std::byte> last;
  };

  Kept* holder(uint64_t address, uint64_t bytes);
  void publish_one(Kept& kept, const std::byte* now,
                   const std::function<void(uint64_t address, ByteSpan bytes)>& send);

  std::mutex lock_;
  std::map<uint64_t, Kept> ranges_;
  std::atomic<size_t> count_{0}, watched_{0};
};

}  // namespace tessera::remote
