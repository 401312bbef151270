// Code and what comes with it: the variables of modules and libraries, the device heap, local memory. Loading
// takes memory, at the latest with a function's first launch.
#include <algorithm>

#include "virtualization/vgpu/calls.h"
#include "virtualization/vgpu/overhead.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

uintptr_t owner_of(const void* handle) { return reinterpret_cast<uintptr_t>(handle); }

// A module that the slice has no room for is unloaded again.
template <auto Entry>
struct Load;
template <typename... Args, CUresult (*DriverTable::*Entry)(CUmodule*, Args...)>
struct Load<Entry> {
  static CUresult call(CUmodule* module, Args... args) {
    Tenant* tenant = active_vgpu->tenant();
    if (tenant == nullptr || module == nullptr) return (lower().*Entry)(module, args...);
    Measurement measurement(*tenant);
    CUresult result = (lower().*Entry)(module, args...);
    if (result != CUDA_SUCCESS) return result;
    result = measurement.charge(owner_of(*module));
    if (result != CUDA_SUCCESS) lower().cuModuleUnload(*module);
    return result;
  }
};

CUresult module_unload(CUmodule module) {
  const CUresult result = lower().cuModuleUnload(module);
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr || result != CUDA_SUCCESS) return result;
  tenant->code.forget_loads();
  overhead_owner_ended(*tenant, owner_of(module));
  return result;
}

// Runs a call that may place a library's code and variables in the current context.
template <typename Call>
CUresult use_library(CUlibrary library, Call call) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return call();
  Measurement measurement(*tenant);
  const CUresult result = call();
  return result == CUDA_SUCCESS ? measurement.charge_or_owe(owner_of(library)) : result;
}

CUresult library_get_module(CUmodule* module, CUlibrary library) {
  return use_library(library, [&] { return lower().cuLibraryGetModule(module, library); });
}

CUresult library_get_global(CUdeviceptr* address, size_t* bytes, CUlibrary library, const char* name) {
  return use_library(library, [&] { return lower().cuLibraryGetGlobal(address, bytes, library, name); });
}

CUresult library_get_managed(CUdeviceptr* address, size_t* bytes, CUlibrary library, const char* name) {
  return use_library(library, [&] { return lower().cuLibraryGetManaged(address, bytes, library, name); });
}

CUresult kernel_get_function(CUfunction* function, CUkernel kernel) {
  Tenant* tenant = active_vgpu->tenant();
  CUlibrary library =
      tenant != nullptr ? tenant->code.library_of(reinterpret_cast<CUfunction>(kernel)) : nullptr;
  return use_library(library, [&] { return lower().cuKernelGetFunction(function, kernel); });
}

CUresult library_get_kernel(CUkernel* kernel, CUlibrary library, const char* name) {
  const CUresult result = lower().cuLibraryGetKernel(kernel, library, name);
  Tenant* tenant = active_vgpu->tenant();
  if (result == CUDA_SUCCESS && tenant != nullptr) tenant->code.add_kernel(*kernel, library);
  return result;
}

CUresult library_enumerate_kernels(CUkernel* kernels, unsigned int count, CUlibrary library) {
  const CUresult result = lower().cuLibraryEnumerateKernels(kernels, count, library);
  Tenant* tenant = active_vgpu->tenant();
  unsigned int all = 0;
  if (result != CUDA_SUCCESS || tenant == nullptr ||
      lower().cuLibraryGetKernelCount(&all, library) != CUDA_SUCCESS) {
    return result;
  }
  for (unsigned int i = 0; i < std::min(count, all); ++i) tenant->code.add_kernel(kernels[i], library);
  return result;
}

CUresult library_unload(CUlibrary library) {
  const CUresult result = lower().cuLibraryUnload(library);
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr || result != CUDA_SUCCESS) return result;
  tenant->code.forget_library(library);
  overhead_owner_ended(*tenant, owner_of(library));
  return result;
}

CUresult func_load(CUfunction function) {
  const CUresult result = charge_function(function);
  return result == CUDA_SUCCESS ? lower().cuFuncLoad(function) : result;
}

// A larger limit may take memory at once: local memory, the FIFO of printf.
CUresult set_limit(CUlimit limit, size_t value) {
  Tenant* tenant = active_vgpu->tenant();
  if (tenant == nullptr) return lower().cuCtxSetLimit(limit, value);
  Measurement measurement(*tenant);
  const CUresult result = lower().cuCtxSetLimit(limit, value);
  return result == CUDA_SUCCESS ? measurement.charge_or_owe(0) : result;
}

// What a kernel node launches: the function, or the kernel that newer forms may name instead.
template <typename Params>
requires requires(const Params* params) { params->func; }
CUfunction function_of(const Params* params) {
  if (params == nullptr) return nullptr;
  CUfunction function = params->func;
  if constexpr (requires { params->kern; }) {
    if (function == nullptr) function = reinterpret_cast<CUfunction>(params->kern);
  }
  return function;
}
CUfunction function_of(const CUgraphNodeParams* params) {
  return params != nullptr && params->type == CU_GRAPH_NODE_TYPE_KERNEL ? function_of(&params->kernel)
                                                                        : nullptr;
}

// A node takes what its kernel takes when it is made or changed. The description is the call's last argument.
template <auto Entry>
struct KernelNode;
template <typename... Args, CUresult (*DriverTable::*Entry)(Args...)>
struct KernelNode<Entry> {
  static CUresult call(Args... args) {
    CUfunction function = nullptr;
    ((function = function_in(args, function)), ...);
    if (function != nullptr) {
      const CUresult result = charge_function(function);
      if (result != CUDA_SUCCESS) return result;
    }
    return (lower().*Entry)(args...);
  }
  template <typename Argument>
  static CUfunction function_in(const Argument& argument, CUfunction before) {
    if constexpr (requires { function_of(argument); }) return function_of(argument);
    return before;
  }
};

template <auto... Entries>
void charge_kernel_nodes(DriverTable& upper, const DriverTable& below) {
  (replace<Entries, &KernelNode<Entries>::call>(upper, below), ...);
}

// Loads `function` in the current context, as its first launch would; a failure is left to the launch to
// tell.
CUresult load_now(Tenant& tenant, CUfunction function, CUcontext context) {
  if (tenant.code.loaded(function, context)) return CUDA_SUCCESS;
  CUlibrary library = tenant.code.library_of(function);
  CUmodule module = nullptr;
  CUfunction loaded = function;
  Measurement measurement(tenant);
  if (library != nullptr &&
      lower().cuKernelGetFunction(&loaded, reinterpret_cast<CUkernel>(function)) != CUDA_SUCCESS) {
    return CUDA_SUCCESS;
  }
  if (lower().cuFuncLoad != nullptr && lower().cuFuncLoad(loaded) != CUDA_SUCCESS) return CUDA_SUCCESS;
  if (library == nullptr && lower().cuFuncGetModule != nullptr) {
    (void)lower().cuFuncGetModule(&module, function);
  }
  const CUresult result =
      measurement.charge_or_owe(library != nullptr ? owner_of(library) : owner_of(module));
  if (result == CUDA_SUCCESS) tenant.code.set_loaded(function, context);
  return result;
}

// What this thread has launched lately.
struct Launched {
  const Tenant* tenant;
  uint64_t epoch;
  CUfunction function;
  CUcontext context;
};
constexpr size_t kLaunched = 64;
thread_local Launched launched[kLaunched];

}  // namespace

CUresult charge_function(CUfunction function) {
  Tenant* tenant = active_vgpu->tenant();
  CUcontext context = nullptr;
  if (tenant == nullptr || lower().cuCtxGetCurrent(&context) != CUDA_SUCCESS) return CUDA_SUCCESS;
  Launched& last = launched[(reinterpret_cast<uintptr_t>(function) >> 4) % kLaunched];
  const Launched now = {tenant, tenant->code.epoch(), function, context};
  if (last.function == now.function && last.context == now.context && last.epoch == now.epoch &&
      last.tenant == now.tenant) {
    return CUDA_SUCCESS;
  }
  const CUresult result = load_now(*tenant, function, context);
  if (result == CUDA_SUCCESS && tenant->code.loaded(function, context)) last = now;
  return result;
}

void install_code_calls(DriverTable& upper, const DriverTable& lower) {
  replace<&DriverTable::cuModuleLoad, &Load<&DriverTable::cuModuleLoad>::call>(upper, lower);
  replace<&DriverTable::cuModuleLoadData, &Load<&DriverTable::cuModuleLoadData>::call>(upper, lower);
  replace<&DriverTable::cuModuleLoadDataEx, &Load<&DriverTable::cuModuleLoadDataEx>::call>(upper, lower);
  replace<&DriverTable::cuModuleLoadFatBinary, &Load<&DriverTable::cuModuleLoadFatBinary>::call>(upper,
                                                                                                 lower);
  replace<&DriverTable::cuModuleUnload, &module_unload>(upper, lower);
  replace<&DriverTable::cuLibraryGetModule, &library_get_module>(upper, lower);
  replace<&DriverTable::cuLibraryGetGlobal, &library_get_global>(upper, lower);
  replace<&DriverTable::cuLibraryGetManaged, &library_get_managed>(upper, lower);
  replace<&DriverTable::cuLibraryGetKernel, &library_get_kernel>(upper, lower);
  replace<&DriverTable::cuLibraryEnumerateKernels, &library_enumerate_kernels>(upper, lower);
  replace<&DriverTable::cuLibraryUnload, &library_unload>(upper, lower);
  replace<&DriverTable::cuKernelGetFunction, &kernel_get_function>(upper, lower);
  replace<&DriverTable::cuFuncLoad, &func_load>(upper, lower);
  replace<&DriverTable::cuCtxSetLimit, &set_limit>(upper, lower);
  charge_kernel_nodes<&DriverTable::cuGraphAddKernelNode, &DriverTable::cuGraphAddKernelNode_v2,
                      &DriverTable::cuGraphAddNode, &DriverTable::cuGraphAddNode_v2,
                      &DriverTable::cuGraphKernelNodeSetParams, &DriverTable::cuGraphKernelNodeSetParams_v2,
                      &DriverTable::cuGraphExecKernelNodeSetParams,
                      &DriverTable::cuGraphExecKernelNodeSetParams_v2, &DriverTable::cuGraphNodeSetParams,
                      &DriverTable::cuGraphExecNodeSetParams>(upper, lower);
}

}  // namespace tessera::vgpu
