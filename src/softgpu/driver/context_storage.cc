#include "softgpu/driver/context_storage.h"

#include "softgpu/driver/context.h"

namespace tessera::softgpu {

CUresult put_context_value(Context& context, void* key, void* value, cuda::StorageDestructor destructor) {
  if (cuda::put_context_value(context.id(), key, value, destructor)) {
    context.at_teardown(
        [id = context.id(), handle = context.handle()] { cuda::destroy_context_values(id, handle); });
  }
  return CUDA_SUCCESS;
}

CUresult remove_context_value(Context& context, void* key) {
  return cuda::remove_context_value(context.id(), key);
}

CUresult get_context_value(Context& context, void* key, void** value) {
  return cuda::get_context_value(context.id(), key, value);
}

}  // namespace tessera::softgpu
