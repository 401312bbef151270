// Values that libraries keep with a context, by key: the export table c693336e-… The runtime reads one in
// nearly every call, so a repeated read costs two comparisons.
#pragma once

#include <cstdint>

#include "cuda/abi.h"

namespace tessera::cuda {

using StorageDestructor = void (*)(CUcontext context, void* key, void* value);

// Contexts go by a number of their own that is never given again. Safe from any thread.

// Replaces what the key had. `destructor` may be null; it runs once, when the context is torn down. True
// where it is the first value of the context: its owner calls destroy_context_values at its teardown.
bool put_context_value(uint64_t context, void* key, void* value, StorageDestructor destructor);
// Without running the destructor. CUDA_ERROR_INVALID_HANDLE where there is none.
CUresult remove_context_value(uint64_t context, void* key);
CUresult get_context_value(uint64_t context, void* key, void** value);
void destroy_context_values(uint64_t context, CUcontext handle);

}  // namespace tessera::cuda
