// CUDA user objects: something of the program's that lives as long as somebody counts on it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "cuda/abi.h"

namespace tessera::softgpu {

class UserObject {
 public:
  UserObject(CUhostFn destroy, void* data, uint64_t references);

  CUuserObject handle() const { return reinterpret_cast<CUuserObject>(handle_); }
  void retain(uint64_t count) { references_.fetch_add(count, std::memory_order_relaxed); }
  // At the last one the destructor is called, later, on a thread of the driver's: the program may hold locks
  // that it takes too.
  void release(uint64_t count);

  // Of these references, the program's own: graphs keep theirs whatever it does. Under graph_mutex().
  void retain_for_program(uint64_t count) {
    retain(count);
    of_program_ += count;
  }
  // False where it has not so many; they go on counting until somebody releases them.
  bool take_from_program(uint64_t count) {
    if (count > of_program_) return false;
    of_program_ -= count;
    return true;
  }

 private:
  const CUhostFn destroy_;
  void* const data_;
  const uintptr_t handle_;
  std::atomic<uint64_t> references_;
  uint64_t of_program_;
};

}  // namespace tessera::softgpu
