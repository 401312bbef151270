// Core dumps: settings of a context and of the process.
#include "cuda/abi.h"
#include "softgpu/driver/coredump.h"
#include "softgpu/driver/entry.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

extern "C" {

CUresult cuCoredumpGetAttribute(CUcoredumpSettings attrib, void* value, size_t* size) {
  return in_context([&](Context& context) {
    return read_coredump_setting(context.coredump_settings(), attrib, value, size);
  });
}

CUresult cuCoredumpGetAttributeGlobal(CUcoredumpSettings attrib, void* value, size_t* size) {
  return initialised(
      [&]() -> CUresult { return read_coredump_setting(global_coredump_settings(), attrib, value, size); });
}

CUresult cuCoredumpSetAttribute(CUcoredumpSettings attrib, void* value, size_t* size) {
  return in_context([&](Context& context) -> CUresult {
    // cuda.h: these two "cannot be set on a per-context basis".
    if (attrib == CU_COREDUMP_ENABLE_USER_TRIGGER || attrib == CU_COREDUMP_PIPE)
      return CUDA_ERROR_NOT_PERMITTED;
    CoredumpSettings settings = context.coredump_settings();
    SOFTGPU_RETURN_IF_ERROR(write_coredump_setting(&settings, attrib, value, size));
    context.set_coredump_settings(settings);
    return CUDA_SUCCESS;
  });
}

CUresult cuCoredumpSetAttributeGlobal(CUcoredumpSettings attrib, void* value, size_t* size) {
  return initialised([&]() -> CUresult {
    CoredumpSettings settings = global_coredump_settings();
    SOFTGPU_RETURN_IF_ERROR(write_coredump_setting(&settings, attrib, value, size));
    // There is no pipe to trigger dumps by.
    if (settings.user_trigger) return CUDA_ERROR_NOT_SUPPORTED;
    set_global_coredump_settings(settings);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
