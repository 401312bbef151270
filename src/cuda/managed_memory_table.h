// An export table (cuGetExportTable) of the software GPU: managed memory of this process, page by page.
// NVIDIA's driver has no such table and answers CUDA_ERROR_INVALID_VALUE; users must do without.
#pragma once

#include "cuda/abi.h"

namespace tessera::cuda {

struct ManagedMemoryFigures {
  uint64_t resident_bytes;  // on the device now; what counts on it
  // Since the process began:
  uint64_t faults;         // of kernels, on pages that the device could not touch
  uint64_t remote_faults;  // of these: the page was mapped where it was, by advice or for lack of room
  uint64_t brought_bytes;  // by faults and prefetches
  uint64_t evicted_bytes;  // to make room for others
};

struct ManagedMemoryTable {
  size_t bytes;  // of this table; a later version may be longer
  CUresult (*figures)(CUdevice device, ManagedMemoryFigures* figures);
  // No more than so many bytes of managed memory are on the device from now on, beside what else the process
  // has there. Pages beyond it leave; kernels still reach them, where they are.
  CUresult (*set_limit)(CUdevice device, uint64_t bytes);
};

// 1b8e5f07-64c2-4d0f-9c1e-a7f3d5528b94
inline constexpr CUuuid kManagedMemoryTable = {
    {0x1b, static_cast<char>(0x8e), 0x5f, 0x07, 0x64, static_cast<char>(0xc2), 0x4d, 0x0f,
     static_cast<char>(0x9c), 0x1e, static_cast<char>(0xa7), static_cast<char>(0xf3), static_cast<char>(0xd5),
     0x52, static_cast<char>(0x8b), static_cast<char>(0x94)}};

}  // namespace tessera::cuda
