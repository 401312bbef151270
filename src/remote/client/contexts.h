// Contexts as the client knows them.
#pragma once

#include <cstdint>

#include "cuda/abi.h"

namespace tessera::remote {

// Remembers the device of a context that the server has named. A context's number is never given again.
void learn_context(CUcontext context, CUdevice device);
// A device's primary context, neither retained nor made current.
CUresult primary_context_of(CUdevice device, CUcontext* context);
void forget_context(CUcontext context);
bool find_context(CUcontext context, CUdevice* device, uint64_t* number);
// The device of the calling thread's context: CUDA_ERROR_INVALID_CONTEXT where it has none.
CUresult current_device(CUdevice* device);

}  // namespace tessera::remote
