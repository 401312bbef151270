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
  uint64_t references() const { return references_.load(std::memory_order_relaxed); }

 private:
  const CUhostFn destroy_;
  void* const data_;
  const uintptr_t handle_;
  std::atomic<uint64_t> references_;
};

}  // namespace tessera::softgpu
