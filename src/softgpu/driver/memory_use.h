// Memory that an operation of the driver is touching right now: a copy, a set, a stream memory operation.
//
// A program that frees memory in one stream while a copy in another one still wants it is wrong, and what it
// gets is undefined. But it must not take the process down with it: as a kernel's accesses are looked up in
// its device's address map, an operation's are when it begins, and memory goes only when none is at it. In
// programs that are right nobody ever waits here.
#pragma once

#include <array>
#include <cstdint>

namespace tessera::softgpu {

class Context;

// No bytes: nothing that the driver could take away, as host memory of the program's own.
struct UsedMemory {
  uint64_t begin = 0, size = 0;
};

class MemoryUse {
 public:
  // Where not all of it is there any more the context fails, as it does on a card, with
  // CUDA_ERROR_ILLEGAL_ADDRESS. `seen`: a generation of its device's address map in which it was all there; 0
  // where none is known.
  MemoryUse(Context& context, uint64_t seen, UsedMemory first, UsedMemory second = {});
  ~MemoryUse();
  MemoryUse(const MemoryUse&) = delete;
  MemoryUse& operator=(const MemoryUse&) = delete;

  bool allowed() const { return allowed_; }
  bool touches(uint64_t begin, uint64_t end) const;

 private:
  void leave();

  const std::array<UsedMemory, 2> memory_;
  bool allowed_ = true;
};

// After the memory has left all address maps, and before it goes: until nothing touches it.
void wait_until_unused(uint64_t begin, uint64_t end);

}  // namespace tessera::softgpu
