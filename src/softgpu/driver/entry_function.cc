// Attributes and preferences of functions and kernels.
#include <algorithm>

#include "cuda/abi.h"
#include "softgpu/device/model.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/function_attributes.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/library.h"
#include "softgpu/driver/module.h"

namespace tessera::softgpu {
namespace {

CUresult set_cache_config(FunctionSettings& settings, CUfunc_cache config) {
  if (config > CU_FUNC_CACHE_PREFER_EQUAL) return CUDA_ERROR_INVALID_VALUE;
  settings.cache_config = static_cast<int>(config);  // a hint; the processor's caches take none
  return CUDA_SUCCESS;
}

// Runs `body(Context&)` in a context of `device`: the current one, or the primary one, held meanwhile.
template <typename Body>
CUresult in_context_of(Device& device, Body&& body) {
  std::shared_ptr<Context> context = current_context();
  if (context && &context->device() == &device && context->status() == CUDA_SUCCESS) return body(*context);
  SOFTGPU_RETURN_IF_ERROR(device.retain_primary(&context));
  const CUresult result = body(*context);
  const CUresult released = device.release_primary();
  return result != CUDA_SUCCESS ? result : released;
}

// Runs `body(LibraryKernel&, Device&)`.
template <typename Body>
CUresult with_kernel(CUkernel handle, CUdevice ordinal, Body&& body) noexcept {
  return guarded([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(ordinal, &device));
    const std::shared_ptr<LibraryKernel> kernel = live<LibraryKernel>().find(handle);
    return kernel ? body(*kernel, *device) : CUDA_ERROR_INVALID_HANDLE;
  });
}

// Runs `body(Function&)` in the current context.
template <typename Body>
CUresult with_function(CUfunction handle, Body&& body) noexcept {
  return in_context([&](Context&) -> CUresult {
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(handle, &function));
    return body(*function);
  });
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

CUresult cuFuncGetAttribute(int* pi, CUfunction_attribute attrib, CUfunction hfunc) {
  return with_function(hfunc,
                       [&](Function& function) { return get_function_attribute(function, attrib, pi); });
}

CUresult cuFuncSetAttribute(CUfunction hfunc, CUfunction_attribute attrib, int value) {
  return with_function(hfunc,
                       [&](Function& function) { return set_function_attribute(function, attrib, value); });
}

CUresult cuFuncSetCacheConfig(CUfunction hfunc, CUfunc_cache config) {
  return with_function(hfunc,
                       [&](Function& function) { return set_cache_config(function.settings(), config); });
}

CUresult cuFuncSetSharedMemConfig(CUfunction hfunc, CUsharedconfig config) {
  return with_function(hfunc, [&](Function&) {  // shared memory has no banks here
    return config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuKernelGetAttribute(int* pi, CUfunction_attribute attrib, CUkernel kernel, CUdevice dev) {
  return with_kernel(kernel, dev, [&](LibraryKernel& found, Device& device) {
    return in_context_of(device, [&](Context& context) -> CUresult {
      std::shared_ptr<Function> function;
      SOFTGPU_RETURN_IF_ERROR(found.function(context, &function));
      return get_function_attribute(*function, attrib, pi);
    });
  });
}

CUresult cuKernelSetAttribute(CUfunction_attribute attrib, int val, CUkernel kernel, CUdevice dev) {
  return with_kernel(kernel, dev, [&](LibraryKernel& found, Device& device) {
    return in_context_of(device, [&](Context& context) -> CUresult {
      std::shared_ptr<Function> function;
      SOFTGPU_RETURN_IF_ERROR(found.function(context, &function));
      return set_function_attribute(*function, attrib, val);
    });
  });
}

CUresult cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config, CUdevice dev) {
  return with_kernel(kernel, dev, [&](LibraryKernel& found, Device& device) {
    return set_cache_config(*found.settings(device.ordinal()), config);
  });
}

}  // extern "C"
