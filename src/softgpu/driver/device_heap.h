// Device memory that kernels take pieces of: malloc and free in device code.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "cuda/abi.h"
#include "softgpu/memory/range_allocator.h"

namespace tessera::softgpu {

class Context;

class DeviceHeap {
 public:
  static constexpr uint64_t kGranularity = 16;  // what malloc aligns to

  // Takes `bytes` of the context's device memory at the first call; later calls change nothing.
  // CUDA_ERROR_OUT_OF_MEMORY where the device has not that much.
  CUresult reserve(Context& context, uint64_t bytes);
  bool reserved() const;
  // Forgets the memory: the end of its context frees it.
  void forget();

  // Called by kernels. 0 where no piece is large enough, and for 0 bytes.
  uint64_t allocate(uint64_t bytes);
  // False where no piece begins at `address`.
  bool free(uint64_t address);

 private:
  mutable std::mutex mutex_;
  std::optional<RangeAllocator> ranges_;
  std::unordered_map<uint64_t, uint64_t> sizes_;  // of the pieces that are out, by their begin
};

}  // namespace tessera::softgpu
