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
#include "remote/wire/changes.h"

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
  // An implicit one takes the place of those that it covers.
  void add(const HostRange& range, const std::byte* last_known = nullptr);
  bool remove(uint64_t address);
  // Makes [address, address + bytes) one range with all implicit ones that it touches. False where it touches
  // another kind.
  bool join_implicit(uint64_t* address, uint64_t* bytes);
  // Addresses of those of this kind.
  std::vector<uint64_t> of(HostKind kind);
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

  // Calls `send` with what the program has changed.
  void publish(const std::function<void(const Changes& changes)>& send);
  // Where bytes from the server go: all of it inside of one range, or nothing.
  std::span<std::byte> place_for(uint64_t address, uint64_t bytes);
  // Ordinary memory that may have been given back: whether it was one's, and was written.
  bool put_implicit(uint64_t address, ByteSpan bytes);
  void arrived(uint64_t address, ByteSpan bytes);
  // What the server has changed, where it is the program's still.
  void put_changes(const Changes& changes);

 private:
  struct Kept {
    HostRange range;
    std::vector<std::byte> last;

    bool touches(uint64_t begin, uint64_t end) const {
      return range.address < end && range.address + range.bytes > begin;
    }
  };

  Kept* holder(uint64_t address, uint64_t bytes);
  void take_place_of_covered(Kept& kept);
  void put_run(Kept& kept, uint64_t address, ByteSpan bytes);
  void begin_watching(Kept& kept);

  std::mutex lock_;
  std::map<uint64_t, Kept> ranges_;
  std::atomic<size_t> count_{0}, watched_{0};
};

}  // namespace tessera::remote
