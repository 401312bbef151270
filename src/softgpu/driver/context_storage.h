// Values that libraries keep with a context, by key: the export table c693336e-… The runtime reads one in
// nearly every call, so a repeated read costs two comparisons.
#pragma once

#include "cuda/abi.h"

namespace tessera::softgpu {

class Context;

using StorageDestructor = void (*)(CUcontext context, void* key, void* value);

// Replaces what the key had. `destructor` may be null; it runs once, when the context is torn down.
CUresult put_context_value(Context& context, void* key, void* value, StorageDestructor destructor);
// Without running the destructor. CUDA_ERROR_INVALID_HANDLE where there is none.
CUresult remove_context_value(Context& context, void* key);
CUresult get_context_value(Context& context, void* key, void** value);

}  // namespace tessera::softgpu
