// cuInit, contexts and primary contexts.
#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_faults.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/memory_pool.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

constexpr unsigned kContextApiVersion = 3020;

bool valid_flags(unsigned flags) {
  const unsigned schedule = flags & CU_CTX_SCHED_MASK;
  const bool one_schedule = schedule <= CU_CTX_SCHED_YIELD || schedule == CU_CTX_SCHED_BLOCKING_SYNC;
  return (flags & ~static_cast<unsigned>(CU_CTX_FLAGS_MASK)) == 0 && one_schedule;
}

CUresult create_context(CUcontext* out, unsigned flags, CUdevice ordinal) {
  return initialised([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(ordinal, &device));
    if (out == nullptr || !valid_flags(flags)) return CUDA_ERROR_INVALID_VALUE;
    SOFTGPU_RETURN_IF_ERROR(device->faults().admit_context());
    auto context = Context::create(*device, false, flags);
    context->activate();
    push_current(context);
    *out = context->handle();
    return CUDA_SUCCESS;
  });
}

// A context by handle that may have failed but exists: for calls that only manage it.
CUresult existing_context(CUcontext handle, std::shared_ptr<Context>* context) {
  *context = handle == nullptr ? current_context() : live<Context>().find(handle);
  return *context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult synchronize(CUcontext handle) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Context> context;
    SOFTGPU_RETURN_IF_ERROR(context_of(handle, &context));
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(*context));
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    const CUresult result = context->synchronize();
    trim_pools(context->device());
    return result;
  });
}

}  // namespace

extern "C" {

CUresult cuInit(unsigned int Flags) {
  return guarded([&] { return Flags != 0 ? CUDA_ERROR_INVALID_VALUE : initialise(); });
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* pctx, CUdevice dev) {
  return initialised([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(dev, &device));
    if (pctx == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    SOFTGPU_RETURN_IF_ERROR(device->retain_primary(&context));
    *pctx = context->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev) {
  return initialised([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(dev, &device));
    return device->release_primary();
  });
}
CUresult cuDevicePrimaryCtxRelease(CUdevice dev) { return cuDevicePrimaryCtxRelease_v2(dev); }

CUresult cuDevicePrimaryCtxReset_v2(CUdevice dev) {
  return initialised([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(dev, &device));
    return device->reset_primary();
  });
}
CUresult cuDevicePrimaryCtxReset(CUdevice dev) { return cuDevicePrimaryCtxReset_v2(dev); }

CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice dev, unsigned int flags) {
  return initialised([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(dev, &device));
    return valid_flags(flags) ? device->set_primary_flags(flags) : CUDA_ERROR_INVALID_VALUE;
  });
}
CUresult cuDevicePrimaryCtxSetFlags(CUdevice dev, unsigned int flags) {
  return cuDevicePrimaryCtxSetFlags_v2(dev, flags);
}

CUresult cuDevicePrimaryCtxGetState(CUdevice dev, unsigned int* flags, int* active) {
  return initialised([&]() -> CUresult {
    Device* device = nullptr;
    SOFTGPU_RETURN_IF_ERROR(find_device(dev, &device));
    if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
    bool is_active = false;
    device->primary_state(flags, &is_active);
    *active = is_active ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxCreate(CUcontext* pctx, unsigned int flags, CUdevice dev) {
  return create_context(pctx, flags, dev);
}
CUresult cuCtxCreate_v2(CUcontext* pctx, unsigned int flags, CUdevice dev) {
  return create_context(pctx, flags, dev);
}

CUresult cuCtxCreate_v3(CUcontext* pctx, CUexecAffinityParam* paramsArray, int numParams, unsigned int flags,
                        CUdevice dev) {
  if (numParams != 0 && paramsArray != nullptr) return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
  return create_context(pctx, flags, dev);
}

CUresult cuCtxCreate_v4(CUcontext* pctx, CUctxCreateParams* ctxCreateParams, unsigned int flags,
                        CUdevice dev) {
  if (ctxCreateParams != nullptr) {
    if (ctxCreateParams->numExecAffinityParams != 0) return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    if (ctxCreateParams->cigParams != nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  }
  return create_context(pctx, flags, dev);
}

// Before CUDA 4.0 a context was counted: it ended with the last detachment. A primary one is counted by its
// device.
CUresult cuCtxAttach(CUcontext* pctx, unsigned int flags) {
  return in_context([&](Context& context) -> CUresult {
    if (pctx == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (context.is_primary()) return CUDA_ERROR_INVALID_CONTEXT;
    context.attach();
    *pctx = context.handle();
    return CUDA_SUCCESS;
  });
}
CUresult cuCtxDetach(CUcontext ctx) {
  return initialised([&]() -> CUresult {
    const auto context = live<Context>().find(ctx);
    if (!context || context->is_primary() || current_context() != context) return CUDA_ERROR_INVALID_CONTEXT;
    return context->detach() ? cuCtxDestroy_v2(ctx) : CUDA_SUCCESS;
  });
}

CUresult cuCtxDestroy_v2(CUcontext ctx) {
  return initialised([&]() -> CUresult {
    auto context = live<Context>().find(ctx);
    if (!context || context->is_primary()) return CUDA_ERROR_INVALID_CONTEXT;
    if (live<Context>().remove(ctx) == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    context->teardown();
    if (current_context() == context) pop_current();
    return CUDA_SUCCESS;
  });
}
CUresult cuCtxDestroy(CUcontext ctx) { return cuCtxDestroy_v2(ctx); }

CUresult cuCtxPushCurrent_v2(CUcontext ctx) {
  return initialised([&]() -> CUresult {
    std::shared_ptr<Context> context = live<Context>().find(ctx);
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    push_current(std::move(context));
    return CUDA_SUCCESS;
  });
}
CUresult cuCtxPushCurrent(CUcontext ctx) { return cuCtxPushCurrent_v2(ctx); }

CUresult cuCtxPopCurrent_v2(CUcontext* pctx) {
  return initialised([&]() -> CUresult {
    auto context = pop_current();
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    if (pctx != nullptr) *pctx = context->handle();
    return CUDA_SUCCESS;
  });
}
CUresult cuCtxPopCurrent(CUcontext* pctx) { return cuCtxPopCurrent_v2(pctx); }

CUresult cuCtxSetCurrent(CUcontext ctx) {
  return initialised([&]() -> CUresult {
    std::shared_ptr<Context> context = ctx == nullptr ? nullptr : live<Context>().find(ctx);
    if (ctx != nullptr && !context) return CUDA_ERROR_INVALID_CONTEXT;
    set_current(std::move(context));
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetCurrent(CUcontext* pctx) {
  return initialised([&]() -> CUresult {
    if (pctx == nullptr) return CUDA_ERROR_INVALID_VALUE;
    auto context = current_context();
    *pctx = context ? context->handle() : nullptr;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetDevice_v2(CUdevice* device, CUcontext ctx) {
  return initialised([&]() -> CUresult {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    SOFTGPU_RETURN_IF_ERROR(existing_context(ctx, &context));
    *device = context->device().ordinal();
    return CUDA_SUCCESS;
  });
}
CUresult cuCtxGetDevice(CUdevice* device) { return cuCtxGetDevice_v2(device, nullptr); }

CUresult cuCtxGetFlags(unsigned int* flags) {
  return in_context([&](Context& context) -> CUresult {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = context.flags();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSetFlags(unsigned int flags) {
  return in_context([&](Context& context) -> CUresult {
    if (!valid_flags(flags)) return CUDA_ERROR_INVALID_VALUE;
    context.set_flags(flags);
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetId(CUcontext ctx, unsigned long long* ctxId) {
  return initialised([&]() -> CUresult {
    if (ctxId == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    SOFTGPU_RETURN_IF_ERROR(existing_context(ctx, &context));
    *ctxId = context->id();
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxGetApiVersion(CUcontext ctx, unsigned int* version) {
  return initialised([&]() -> CUresult {
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Context> context;
    SOFTGPU_RETURN_IF_ERROR(existing_context(ctx, &context));
    *version = kContextApiVersion;
    return CUDA_SUCCESS;
  });
}

CUresult cuCtxSynchronize(void) { return synchronize(nullptr); }
CUresult cuCtxSynchronize_v2(CUcontext ctx) { return synchronize(ctx); }

CUresult cuCtxGetLimit(size_t* pvalue, CUlimit limit) {
  return in_context([&](Context& context) -> CUresult {
    return pvalue == nullptr ? CUDA_ERROR_INVALID_VALUE : context.get_limit(limit, pvalue);
  });
}
CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
  return in_context([&](Context& context) { return context.set_limit(limit, value); });
}

// Caches and banks are the machine's: preferences are accepted, as CUDA does where they have no meaning.
CUresult cuCtxGetCacheConfig(CUfunc_cache* pconfig) {
  return in_context([&](Context&) -> CUresult {
    if (pconfig == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pconfig = CU_FUNC_CACHE_PREFER_NONE;
    return CUDA_SUCCESS;
  });
}
CUresult cuCtxSetCacheConfig(CUfunc_cache config) {
  return in_context([&](Context&) -> CUresult {
    return config > CU_FUNC_CACHE_PREFER_EQUAL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  });
}
CUresult cuCtxGetSharedMemConfig(CUsharedconfig* pConfig) {
  return in_context([&](Context&) -> CUresult {
    if (pConfig == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pConfig = CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE;
    return CUDA_SUCCESS;
  });
}
CUresult cuCtxSetSharedMemConfig(CUsharedconfig config) {
  return in_context([&](Context&) -> CUresult {
    return config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  });
}
CUresult cuCtxResetPersistingL2Cache(void) {
  return in_context([](Context&) { return CUDA_SUCCESS; });
}

CUresult cuCtxGetStreamPriorityRange(int* leastPriority, int* greatestPriority) {
  return in_context([&](Context&) -> CUresult {
    if (leastPriority != nullptr) *leastPriority = 0;
    if (greatestPriority != nullptr) *greatestPriority = kGreatestPriority;
    return CUDA_SUCCESS;
  });
}

// There is no profiler to start or stop; programs that mark their interesting parts go on.
CUresult cuProfilerStart(void) {
  return in_context([](Context&) { return CUDA_SUCCESS; });
}
CUresult cuProfilerStop(void) {
  return in_context([](Context&) { return CUDA_SUCCESS; });
}

}  // extern "C"
