// Events.
#include "cuda/abi.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/event.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/imported_memory.h"
#include "softgpu/driver/interprocess_event.h"
#include "softgpu/driver/memory_pool.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

constexpr unsigned kKnownFlags = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING;
constexpr double kNsPerMs = 1e6;

CUresult record(CUevent hEvent, CUstream hStream, bool external) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    std::shared_ptr<Event> event;
    SOFTGPU_RETURN_IF_ERROR(event_of(hEvent, &event));
    if (&event->context() != &stream->context()) return CUDA_ERROR_INVALID_HANDLE;
    bool captured = false;
    SOFTGPU_RETURN_IF_ERROR(enter_stream(*stream, &captured));
    if (captured) return capture_event_record(*stream, event, external);
    event->record(*stream);
    return CUDA_SUCCESS;
  });
}

CUresult elapsed(float* milliseconds, CUevent hStart, CUevent hEnd) {
  return guarded([&]() -> CUresult {
    if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<Event> start, end;
    SOFTGPU_RETURN_IF_ERROR(event_of(hStart, &start));
    SOFTGPU_RETURN_IF_ERROR(event_of(hEnd, &end));
    if (&start->context() != &end->context() || !start->timed() || !end->timed())
      return CUDA_ERROR_INVALID_HANDLE;
    if (start->captured() || end->captured()) return CUDA_ERROR_CAPTURED_EVENT;
    const OpRef from = start->recorded(), to = end->recorded();
    if (!from || !to) return CUDA_ERROR_INVALID_HANDLE;
    if (!from->done() || !to->done()) return CUDA_ERROR_NOT_READY;
    const auto ns = static_cast<int64_t>(to->finished_ns() - from->finished_ns());
    *milliseconds = static_cast<float>(static_cast<double>(ns) / kNsPerMs);
    return CUDA_SUCCESS;
  });
}

}  // namespace

extern "C" {

CUresult cuEventCreate(CUevent* phEvent, unsigned int Flags) {
  return in_context([&](Context& context) -> CUresult {
    if (phEvent == nullptr || (Flags & ~(kKnownFlags | CU_EVENT_INTERPROCESS)) != 0)
      return CUDA_ERROR_INVALID_VALUE;
    std::shared_ptr<InterprocessEvent> shared;
    if ((Flags & CU_EVENT_INTERPROCESS) != 0) {
      if ((Flags & CU_EVENT_DISABLE_TIMING) == 0) return CUDA_ERROR_INVALID_VALUE;
      auto made = InterprocessEvent::create(context.device());
      if (!made.ok()) return result_of_import(made.status());
      shared = std::move(made).value();
    }
    auto event = std::make_shared<Event>(context.shared_from_this(), Flags, std::move(shared));
    live<Event>().add(reinterpret_cast<uintptr_t>(event->handle()), event);
    *phEvent = event->handle();
    return CUDA_SUCCESS;
  });
}

// What was recorded, and who waits for it, is not affected.
CUresult cuEventDestroy_v2(CUevent hEvent) {
  return initialised(
      [&]() -> CUresult { return live<Event>().remove(hEvent) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE; });
}
CUresult cuEventDestroy(CUevent hEvent) { return cuEventDestroy_v2(hEvent); }

CUresult cuEventRecord(CUevent hEvent, CUstream hStream) { return record(hEvent, hStream, false); }
CUresult cuEventRecordWithFlags(CUevent hEvent, CUstream hStream, unsigned int flags) {
  return flags > CU_EVENT_RECORD_EXTERNAL ? CUDA_ERROR_INVALID_VALUE
                                          : record(hEvent, hStream, flags == CU_EVENT_RECORD_EXTERNAL);
}

CUresult cuEventQuery(CUevent hEvent) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Event> event;
    SOFTGPU_RETURN_IF_ERROR(event_of(hEvent, &event));
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(*event));
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    const OpRef recorded = event->recorded();
    return !recorded || recorded->done() ? event->context().status() : CUDA_ERROR_NOT_READY;
  });
}

CUresult cuEventSynchronize(CUevent hEvent) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Event> event;
    SOFTGPU_RETURN_IF_ERROR(event_of(hEvent, &event));
    SOFTGPU_RETURN_IF_ERROR(forbid_captured(*event));
    SOFTGPU_RETURN_IF_ERROR(forbid_unsafe());
    if (const OpRef recorded = event->recorded()) recorded->wait();
    event->context().flush_output();
    trim_pools(event->context().device());
    return event->context().status();
  });
}

CUresult cuEventElapsedTime(float* pMilliseconds, CUevent hStart, CUevent hEnd) {
  return elapsed(pMilliseconds, hStart, hEnd);
}
CUresult cuEventElapsedTime_v2(float* pMilliseconds, CUevent hStart, CUevent hEnd) {
  return elapsed(pMilliseconds, hStart, hEnd);
}

}  // extern "C"
