// Modules, and the functions in them.
#include <algorithm>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/device/model.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/library.h"
#include "softgpu/driver/load.h"
#include "softgpu/driver/module.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

uint32_t architecture_of(const Context& context) {
  const DeviceModel& model = context.device().model();
  return static_cast<uint32_t>(model.compute_major * 10 + model.compute_minor);
}

CUresult link_code(Context& context, const ptx::Module& code, const JitLog& jit, CUmodule* out) {
  std::string log;
  std::shared_ptr<Module> module;
  const CUresult result = Module::link(context, code, nullptr, &log, &module);
  jit.report(log);
  if (result != CUDA_SUCCESS) {
    LOG_ERROR("module", "%s", log.c_str());
    return result;
  }
  *out = module->handle();
  return CUDA_SUCCESS;
}

CUresult load_module(CUmodule* out, const void* image, unsigned count, CUjit_option* options, void** values) {
  return in_context([&](Context& context) -> CUresult {
    if (out == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    JitLog jit;
    SOFTGPU_RETURN_IF_ERROR(JitLog::from_options(count, options, values, &jit));
    ptx::Module code;
    SOFTGPU_RETURN_IF_ERROR(load_code(image, architecture_of(context), jit, &code));
    return link_code(context, code, jit, out);
  });
}

template <typename Body>
CUresult with_module(CUmodule handle, Body&& body) {
  return in_context([&](Context&) -> CUresult {
    auto module = live<Module>().find(handle);
    return module ? body(*module) : CUDA_ERROR_INVALID_HANDLE;
  });
}

}  // namespace

extern "C" {

CUresult cuModuleLoad(CUmodule* module, const char* fname) {
  return in_context([&](Context& context) -> CUresult {
    if (module == nullptr || fname == nullptr) return CUDA_ERROR_INVALID_VALUE;
    ptx::Module code;
    SOFTGPU_RETURN_IF_ERROR(load_code_file(fname, architecture_of(context), JitLog(), &code));
    return link_code(context, code, JitLog(), module);
  });
}

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return load_module(module, image, 0, nullptr, nullptr);
}
CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned int numOptions,
                            CUjit_option* options, void** optionValues) {
  return load_module(module, image, numOptions, options, optionValues);
}
CUresult cuModuleLoadFatBinary(CUmodule* module, const void* fatCubin) {
  return load_module(module, fatCubin, 0, nullptr, nullptr);
}

CUresult cuModuleUnload(CUmodule hmod) {
  return in_context([&](Context& context) -> CUresult {
    auto module = live<Module>().find(hmod);
    if (!module || &module->context() != &context) return CUDA_ERROR_INVALID_HANDLE;
    SOFTGPU_RETURN_IF_ERROR(context.synchronize());
    if (live<Module>().remove(hmod) == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    module->unload();
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode* mode) {
  if (mode == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *mode = module_loading_mode();
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* hfunc, CUmodule hmod, const char* name) {
  return with_module(hmod, [&](Module& module) -> CUresult {
    if (hfunc == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    auto function = module.function(name);
    if (!function) return CUDA_ERROR_NOT_FOUND;
    *hfunc = function->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetFunctionCount(unsigned int* count, CUmodule mod) {
  return with_module(mod, [&](Module& module) -> CUresult {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = static_cast<unsigned>(module.function_names().size());
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleEnumerateFunctions(CUfunction* functions, unsigned int numFunctions, CUmodule mod) {
  return with_module(mod, [&](Module& module) -> CUresult {
    if (functions == nullptr || numFunctions == 0) return CUDA_ERROR_INVALID_VALUE;
    const size_t count = std::min<size_t>(numFunctions, module.function_names().size());
    for (size_t i = 0; i < count; ++i) functions[i] = module.function(module.function_names()[i])->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr* dptr, size_t* bytes, CUmodule hmod, const char* name) {
  return with_module(hmod, [&](Module& module) -> CUresult {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const exec::Symbol* symbol = module.symbol(name);
    if (symbol == nullptr) return CUDA_ERROR_NOT_FOUND;
    if (dptr != nullptr) *dptr = symbol->address;
    if (bytes != nullptr) *bytes = symbol->size;
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncGetModule(CUmodule* hmod, CUfunction hfunc) {
  return guarded([&]() -> CUresult {
    if (hmod == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(hfunc, &function));
    *hmod = function->module().handle();
    return CUDA_SUCCESS;
  });
}

// The text lives as long as the function is loaded.
CUresult cuFuncGetName(const char** name, CUfunction hfunc) {
  return guarded([&]() -> CUresult {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(hfunc, &function));
    *name = function->name().c_str();
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncGetParamInfo(CUfunction func, size_t paramIndex, size_t* paramOffset, size_t* paramSize) {
  return guarded([&]() -> CUresult {
    if (paramOffset == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(func, &function));
    std::shared_ptr<const exec::Kernel> kernel;
    SOFTGPU_RETURN_IF_ERROR(function->load(&kernel));
    const auto& parameters = kernel->info().parameters;
    if (paramIndex >= parameters.size()) return CUDA_ERROR_INVALID_VALUE;
    *paramOffset = parameters[paramIndex].offset;
    if (paramSize != nullptr) *paramSize = parameters[paramIndex].size;
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncIsLoaded(CUfunctionLoadingState* state, CUfunction function) {
  return guarded([&]() -> CUresult {
    if (state == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Function> found;
    SOFTGPU_RETURN_IF_ERROR(function_of(function, &found));
    *state = found->loaded() ? CU_FUNCTION_LOADING_STATE_LOADED : CU_FUNCTION_LOADING_STATE_UNLOADED;
    return CUDA_SUCCESS;
  });
}

CUresult cuFuncLoad(CUfunction function) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Function> found;
    SOFTGPU_RETURN_IF_ERROR(function_of(function, &found));
    std::shared_ptr<const exec::Kernel> kernel;
    SOFTGPU_RETURN_IF_ERROR(found->load(&kernel));
    return found->module().context().provide_for(kernel->info());
  });
}

}  // extern "C"
