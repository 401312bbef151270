// The export tables (cuGetExportTable) that NVIDIA's runtime and libraries ask a driver for, for drivers that
// are not NVIDIA's: what they hold, and how the answers are found. docs/interoperability.md describes them.
#pragma once

#include <vector>

#include "cuda/abi.h"
#include "cuda/context_values.h"
#include "cuda/cudart_handshake.h"

namespace tessera::cuda {

// What a driver puts behind them. `device` in the order of CUdevice.
struct RuntimeHooks {
  // The primary context, neither retained nor made current.
  CUresult (*primary_context)(CUcontext* context, CUdevice device);
  CUresult (*put)(CUcontext context, void* key, void* value, StorageDestructor destructor);
  CUresult (*remove)(CUcontext context, void* key);
  CUresult (*get)(void** value, CUcontext context, void* key);
  int (*driver_version)();
  std::vector<HandshakeDevice> (*devices)();
};

// The table of that name, or null. `hooks`: the same in every call.
const void* runtime_table(const CUuuid& id, const RuntimeHooks& hooks);

}  // namespace tessera::cuda
