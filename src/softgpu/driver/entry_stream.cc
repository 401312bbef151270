// Streams, host functions.
#include <algorithm>

#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/event.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/graph/work.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/host_op.h"
#include "softgpu/driver/memory_pool.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

CUresult create_stream(CUstream* out, unsigned flags, int priority) {
  return in_context([&](Context& context) -> CUresult {
    if (out == nullptr || flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    const auto kind =
        flags == CU_STREAM_NON_BLOCKING ? OpQueue::Kind::kNonBlocking : OpQueue::Kind::kBlocking;
    auto stream = std::make_shared<Stream>(context.shared_from_this(), kind, flags,
                                           std::clamp(priority, kGreatestPriority, 0));
    live<Stream>().add(reinterpret_cast<uintptr_t>(stream->handle()), stream);
    *out = stream->handle();
    return CUDA_SUCCESS;
  });
}

// Runs `body(Stream&)` for a stream that exists in a context that is usable.
template <typename Body>
CUresult on_stream(CUstream handle, Body&& body) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(handle, &stream));
    return body(*stream);
  });
}

}  // namespace

extern "C" {

CUresult cuStreamCreate(CUstream* phStream, unsigned int Flags) { return create_stream(phStream, Flags, 0); }
CUresult cuStreamCreateWithPriority(CUstream* phStream, unsigned int flags, int priority) {
  return create_stream(phStream, flags, priority);
}

CUresult cuStreamDestroy_v2(CUstream hStream) {
  return initialised([&]() -> CUresult {
    const auto stream = live<Stream>().find(hStream);
    if (stream) SOFTGPU_RETURN_IF_ERROR(forbid_captured(*stream));
    return live<Stream>().remove(hStream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
  });
}
CUresult cuStreamDestroy(CUstream hStream) { return cuStreamDestroy_v2(hStream); }

CUresult cuStreamGetPriority(CUstream hStream, int* priority) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    if (priority == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *priority = stream.priority();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetFlags(CUstream hStream, unsigned int* flags) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = stream.flags();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetId(CUstream hStream, unsigned long long* streamId) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    if (streamId == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *streamId = stream.id();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetDevice(CUstream hStream, CUdevice* device) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *device = stream.context().device().ordinal();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetCtx(CUstream hStream, CUcontext* pctx) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    if (pctx == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pctx = stream.context().handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamGetCtx_v2(CUstream hStream, CUcontext* pCtx, CUgreenCtx* pGreenCtx) {
  if (pGreenCtx != nullptr) *pGreenCtx = nullptr;
  return cuStreamGetCtx(hStream, pCtx);
}

CUresult cuStreamWaitEvent(CUstream hStream, CUevent hEvent, unsigned int Flags) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    if (Flags > CU_EVENT_WAIT_EXTERNAL) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Event> event;
    SOFTGPU_RETURN_IF_ERROR(event_of(hEvent, &event));
    bool captured = false;
    SOFTGPU_RETURN_IF_ERROR(capture_event_wait(stream, event, Flags == CU_EVENT_WAIT_EXTERNAL, &captured));
    if (captured) return CUDA_SUCCESS;
    const OpRef recorded = event->recorded();
    if (recorded && !recorded->done()) stream->submit(std::make_shared<MarkerOp>(), std::span(&recorded, 1));
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamQuery(CUstream hStream) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(stream));
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    if (!stream.idle()) return CUDA_ERROR_NOT_READY;
    return stream.synchronize();
  });
}

CUresult cuStreamSynchronize(CUstream hStream) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(stream));
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    const CUresult result = stream.synchronize();
    trim_pools(stream.context().device());
    return result;
  });
}

CUresult cuStreamAddCallback(CUstream hStream, CUstreamCallback callback, void* userData,
                             unsigned int flags) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    if (callback == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(stream));
    stream.submit(std::make_shared<HostOp>(stream.context_ref(), callback, hStream, userData));
    return CUDA_SUCCESS;
  });
}

CUresult cuLaunchHostFunc(CUstream hStream, CUhostFn fn, void* userData) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    if (fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
    bool captured = false;
    SOFTGPU_RETURN_IF_ERROR(enter_stream(stream, &captured));
    if (captured) {
      return capture_work(stream, std::make_shared<HostWork>(CUDA_HOST_NODE_PARAMS{fn, userData}));
    }
    stream.submit(std::make_shared<HostOp>(stream.context_ref(), fn, userData));
    return CUDA_SUCCESS;
  });
}

// Managed memory is one memory for both sides here: it is attached to every stream already.
CUresult cuStreamAttachMemAsync(CUstream hStream, CUdeviceptr dptr, size_t length, unsigned int flags) {
  return on_stream(hStream, [&](Stream& stream) -> CUresult {
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(stream));
    const bool one_flag =
        flags == CU_MEM_ATTACH_GLOBAL || flags == CU_MEM_ATTACH_HOST || flags == CU_MEM_ATTACH_SINGLE;
    auto allocation = AllocationTable::instance().find(dptr);
    if (!one_flag || !allocation || allocation->kind != MemoryKind::kManaged) return CUDA_ERROR_INVALID_VALUE;
    return length == 0 || length == allocation->size ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

}  // extern "C"
