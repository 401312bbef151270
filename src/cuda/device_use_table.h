// An export table (cuGetExportTable) of the software GPU: what the driver takes for itself in this process.
// NVIDIA's driver has no such table and answers CUDA_ERROR_INVALID_VALUE; users must do without.
#pragma once

#include "cuda/abi.h"

namespace tessera::cuda {

struct DeviceUseTable {
  size_t bytes;  // of this table; a later version may be longer
  // Device memory that the driver has taken since the process began and that no call of the program names:
  // variables of modules and libraries, device heaps, values of graphs' conditions. In bytes; it never falls,
  // so that the difference over a call is what the call took, whatever other threads allocate and free
  // meanwhile. `beside_contexts`: what of that outlives every context.
  CUresult (*driver_took_bytes)(CUdevice device, uint64_t* taken, uint64_t* beside_contexts);
};

// 6f0c3a52-9d1b-4be7-8a46-d2517fe09c3a
inline constexpr CUuuid kDeviceUseTable = {{0x6f, 0x0c, 0x3a, 0x52, static_cast<char>(0x9d), 0x1b, 0x4b,
                                            static_cast<char>(0xe7), static_cast<char>(0x8a), 0x46,
                                            static_cast<char>(0xd2), 0x51, 0x7f, static_cast<char>(0xe0),
                                            static_cast<char>(0x9c), 0x3a}};

}  // namespace tessera::cuda
