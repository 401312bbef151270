// Values that libraries keep with a context, by key (cuda/context_values.h).
#pragma once

#include "cuda/context_values.h"

namespace tessera::softgpu {

class Context;

CUresult put_context_value(Context& context, void* key, void* value, cuda::StorageDestructor destructor);
CUresult remove_context_value(Context& context, void* key);
CUresult get_context_value(Context& context, void* key, void** value);

}  // namespace tessera::softgpu
