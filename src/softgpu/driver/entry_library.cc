// Libraries and their kernels.
#include <algorithm>

#include "cuda/abi.h"
#include "softgpu/device/model.h"
#include "softgpu/driver/current.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/library.h"
#include "softgpu/driver/load.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// A library belongs to no device: code that any device of this process takes is good enough.
uint32_t newest_architecture() {
  int newest = 0;
  for (const Device* device : devices()) {
    newest = std::max(newest, device->model().compute_major * 10 + device->model().compute_minor);
  }
  return static_cast<uint32_t>(newest);
}

CUresult publish(ptx::Module code, CUlibrary* out) {
  auto library = std::make_shared<Library>(std::move(code));
  live<Library>().add(reinterpret_cast<uintptr_t>(library->handle()), library);
  *out = library->handle();
  return CUDA_SUCCESS;
}

template <typename Body>
CUresult with_library(CUlibrary handle, Body&& body) {
  return initialised([&]() -> CUresult {
    auto library = live<Library>().find(handle);
    return library ? body(*library) : CUDA_ERROR_INVALID_HANDLE;
  });
}

template <typename Body>
CUresult with_kernel(CUkernel handle, Body&& body) {
  return initialised([&]() -> CUresult {
    auto kernel = live<LibraryKernel>().find(handle);
    return kernel ? body(*kernel) : CUDA_ERROR_INVALID_HANDLE;
  });
}

}  // namespace

extern "C" {

CUresult cuLibraryLoadData(CUlibrary* library, const void* code, CUjit_option* jitOptions,
                           void** jitOptionsValues, unsigned int numJitOptions,
                           CUlibraryOption* libraryOptions, void** libraryOptionValues,
                           unsigned int numLibraryOptions) {
  static_cast<void>(libraryOptionValues);
  return initialised([&]() -> CUresult {
    if (library == nullptr || code == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (numLibraryOptions != 0 && libraryOptions == nullptr) return CUDA_ERROR_INVALID_VALUE;
    JitLog jit;
    SOFTGPU_RETURN_IF_ERROR(JitLog::from_options(numJitOptions, jitOptions, jitOptionsValues, &jit));
    ptx::Module parsed;
    SOFTGPU_RETURN_IF_ERROR(load_code(code, newest_architecture(), jit, &parsed));
    return publish(std::move(parsed), library);
  });
}

CUresult cuLibraryLoadFromFile(CUlibrary* library, const char* fileName, CUjit_option* jitOptions,
                               void** jitOptionsValues, unsigned int numJitOptions,
                               CUlibraryOption* libraryOptions, void** libraryOptionValues,
                               unsigned int numLibraryOptions) {
  static_cast<void>(libraryOptionValues);
  return initialised([&]() -> CUresult {
    if (library == nullptr || fileName == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (numLibraryOptions != 0 && libraryOptions == nullptr) return CUDA_ERROR_INVALID_VALUE;
    JitLog jit;
    SOFTGPU_RETURN_IF_ERROR(JitLog::from_options(numJitOptions, jitOptions, jitOptionsValues, &jit));
    ptx::Module parsed;
    SOFTGPU_RETURN_IF_ERROR(load_code_file(fileName, newest_architecture(), jit, &parsed));
    return publish(std::move(parsed), library);
  });
}

CUresult cuLibraryUnload(CUlibrary library) {
  return initialised([&]() -> CUresult {
    auto removed = live<Library>().remove(library);
    if (!removed) return CUDA_ERROR_INVALID_HANDLE;
    removed->unload();
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetKernel(CUkernel* pKernel, CUlibrary library, const char* name) {
  return with_library(library, [&](Library& found) -> CUresult {
    if (pKernel == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    auto kernel = found.kernel(name);
    if (!kernel) return CUDA_ERROR_NOT_FOUND;
    *pKernel = kernel->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetKernelCount(unsigned int* count, CUlibrary lib) {
  return with_library(lib, [&](Library& found) -> CUresult {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = static_cast<unsigned>(found.kernel_names().size());
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryEnumerateKernels(CUkernel* kernels, unsigned int numKernels, CUlibrary lib) {
  return with_library(lib, [&](Library& found) -> CUresult {
    if (kernels == nullptr || numKernels == 0) return CUDA_ERROR_INVALID_VALUE;
    const size_t count = std::min<size_t>(numKernels, found.kernel_names().size());
    for (size_t i = 0; i < count; ++i) kernels[i] = found.kernel(found.kernel_names()[i])->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetModule(CUmodule* pMod, CUlibrary library) {
  return with_library(library, [&](Library& found) -> CUresult {
    if (pMod == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    SOFTGPU_RETURN_IF_ERROR(usable_context(&context));
    std::shared_ptr<Module> module;
    SOFTGPU_RETURN_IF_ERROR(found.module(*context, &module));
    *pMod = module->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetGlobal(CUdeviceptr* dptr, size_t* bytes, CUlibrary library, const char* name) {
  return with_library(library, [&](Library& found) -> CUresult {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    SOFTGPU_RETURN_IF_ERROR(usable_context(&context));
    std::shared_ptr<Module> module;
    SOFTGPU_RETURN_IF_ERROR(found.module(*context, &module));
    const exec::Symbol* symbol = module->symbol(name);
    if (symbol == nullptr) return CUDA_ERROR_NOT_FOUND;
    if (dptr != nullptr) *dptr = symbol->address;
    if (bytes != nullptr) *bytes = symbol->size;
    return CUDA_SUCCESS;
  });
}

CUresult cuLibraryGetManaged(CUdeviceptr* dptr, size_t* bytes, CUlibrary library, const char* name) {
  return with_library(library, [&](Library& found) -> CUresult {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    uint64_t address = 0, size = 0;
    SOFTGPU_RETURN_IF_ERROR(found.managed(name, &address, &size));
    if (dptr != nullptr) *dptr = address;
    if (bytes != nullptr) *bytes = size;
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelGetFunction(CUfunction* pFunc, CUkernel kernel) {
  return with_kernel(kernel, [&](LibraryKernel& found) -> CUresult {
    if (pFunc == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    SOFTGPU_RETURN_IF_ERROR(usable_context(&context));
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(found.function(*context, &function));
    *pFunc = function->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelGetLibrary(CUlibrary* pLib, CUkernel kernel) {
  return with_kernel(kernel, [&](LibraryKernel& found) -> CUresult {
    if (pLib == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pLib = found.library().handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelGetName(const char** name, CUkernel hfunc) {
  return with_kernel(hfunc, [&](LibraryKernel& found) -> CUresult {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *name = found.name().c_str();
    return CUDA_SUCCESS;
  });
}

CUresult cuKernelGetParamInfo(CUkernel kernel, size_t paramIndex, size_t* paramOffset, size_t* paramSize) {
  return cuFuncGetParamInfo(reinterpret_cast<CUfunction>(kernel), paramIndex, paramOffset, paramSize);
}

}  // extern "C"
