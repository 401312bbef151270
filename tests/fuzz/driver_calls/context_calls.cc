// Contexts, streams, events.
#include <atomic>
#include <iterator>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

CUcontext context(World& w) { return w.get<CUcontext>(Kind::kContext); }
CUevent event(World& w) { return w.get<CUevent>(Kind::kEvent); }

void create_context(World& w) {
  constexpr unsigned kFlags[] = {0, 0, CU_CTX_SCHED_BLOCKING_SYNC, CU_CTX_MAP_HOST, 3, 0x1000};
  CUcontext made = nullptr;
  if (w.all(Kind::kContext).size() > 8) return;
  if (CALL(w, cuCtxCreate_v2, &made, w.bytes.one_of(kFlags), w.device()) == CUDA_SUCCESS)
    w.add(Kind::kContext, made);
}

void destroy_context(World& w) {
  if (CALL(w, cuCtxDestroy_v2, context(w)) == CUDA_SUCCESS) w.freed_unknown();
}

void set_current(World& w) { CALL(w, cuCtxSetCurrent, context(w)); }
void push_current(World& w) { CALL(w, cuCtxPushCurrent_v2, context(w)); }
void pop_current(World& w) {
  CUcontext popped = nullptr;
  CALL(w, cuCtxPopCurrent_v2, &popped);
}

void retain_primary(World& w) {
  CUcontext primary = nullptr;
  if (CALL(w, cuDevicePrimaryCtxRetain, &primary, w.device()) == CUDA_SUCCESS) w.add(Kind::kContext, primary);
}
void release_primary(World& w) {
  if (CALL(w, cuDevicePrimaryCtxRelease_v2, w.device()) == CUDA_SUCCESS) w.freed_unknown();
}
void reset_primary(World& w) {
  if (CALL(w, cuDevicePrimaryCtxReset_v2, w.device()) == CUDA_SUCCESS) w.freed_unknown();
}

void attach_context(World& w) {
  CUcontext attached = nullptr;
  CALL(w, cuCtxAttach, &attached, w.bytes.below(2));
}
void detach_context(World& w) {
  if (CALL(w, cuCtxDetach, context(w)) == CUDA_SUCCESS) w.freed_unknown();
}

void ask_context(World& w) {
  CUcontext current = nullptr;
  CUdevice ordinal = 0;
  unsigned flags = 0, version = 0;
  unsigned long long id = 0;
  int least = 0, greatest = 0, active = 0;
  CALL(w, cuCtxGetCurrent, &current);
  CALL(w, cuCtxGetDevice, &ordinal);
  CALL(w, cuCtxGetDevice_v2, &ordinal, context(w));
  CALL(w, cuCtxGetFlags, &flags);
  CALL(w, cuCtxGetId, context(w), &id);
  CALL(w, cuCtxGetApiVersion, context(w), &version);
  CALL(w, cuCtxGetStreamPriorityRange, &least, &greatest);
  CALL(w, cuDevicePrimaryCtxGetState, w.device(), &flags, &active);
}

void limits(World& w) {
  constexpr size_t kValues[] = {0, 1, 1024, 65536, 1 << 20, 8 << 20, 1ull << 40, ~0ull};
  const auto limit = static_cast<CUlimit>(w.bytes.below(CU_LIMIT_MAX + 2));
  size_t value = w.bytes.one_of(kValues);
  CALL(w, cuCtxSetLimit, limit, value);
  CALL(w, cuCtxGetLimit, &value, limit);
}

void synchronize_context(World& w) { CALL(w, cuCtxSynchronize); }
void synchronize_that_context(World& w) { CALL(w, cuCtxSynchronize_v2, context(w)); }

void peers(World& w) {
  int can = 0;
  CALL(w, cuDeviceCanAccessPeer, &can, w.device(), w.device());
  if (w.bytes.coin())
    CALL(w, cuCtxEnablePeerAccess, context(w), w.bytes.below(8) == 0);
  else
    CALL(w, cuCtxDisablePeerAccess, context(w));
}

void create_stream(World& w) {
  CUstream made = nullptr;
  const unsigned flags = w.bytes.below(3);
  const int priority = static_cast<int>(w.bytes.byte()) - 128;
  if (CALL(w, cuStreamCreateWithPriority, &made, flags, priority) == CUDA_SUCCESS) w.add(Kind::kStream, made);
}
void destroy_stream(World& w) { CALL(w, cuStreamDestroy_v2, w.stream()); }
void query_stream(World& w) { CALL(w, cuStreamQuery, w.stream()); }
void synchronize_stream(World& w) { CALL(w, cuStreamSynchronize, w.stream()); }

void ask_stream(World& w) {
  CUcontext of = nullptr;
  CUdevice ordinal = 0;
  unsigned flags = 0;
  unsigned long long id = 0;
  int priority = 0;
  CALL(w, cuStreamGetCtx, w.stream(), &of);
  CALL(w, cuStreamGetDevice, w.stream(), &ordinal);
  CALL(w, cuStreamGetFlags, w.stream(), &flags);
  CALL(w, cuStreamGetId, w.stream(), &id);
  CALL(w, cuStreamGetPriority, w.stream(), &priority);
}

void stream_attributes(World& w) {
  CUlaunchAttributeValue value{};
  const auto attribute = static_cast<CUlaunchAttributeID>(w.bytes.below(18));
  CALL(w, cuStreamGetAttribute, w.stream(), attribute, &value);
  value.syncPolicy = static_cast<CUsynchronizationPolicy>(w.bytes.below(8));
  CALL(w, cuStreamSetAttribute, w.stream(), attribute, &value);
  CALL(w, cuStreamCopyAttributes, w.stream(), w.stream());
}

void create_event(World& w) {
  constexpr unsigned kFlags[] = {
      0, 0, CU_EVENT_BLOCKING_SYNC, CU_EVENT_DISABLE_TIMING, CU_EVENT_INTERPROCESS, 6, ~0u};
  CUevent made = nullptr;
  if (CALL(w, cuEventCreate, &made, w.bytes.one_of(kFlags)) == CUDA_SUCCESS) w.add(Kind::kEvent, made);
}
void destroy_event(World& w) { CALL(w, cuEventDestroy_v2, event(w)); }
void record_event(World& w) { CALL(w, cuEventRecordWithFlags, event(w), w.stream(), w.bytes.below(3)); }
void wait_for_event(World& w) { CALL(w, cuStreamWaitEvent, w.stream(), event(w), w.bytes.below(3)); }
void query_event(World& w) { CALL(w, cuEventQuery, event(w)); }
void synchronize_event(World& w) { CALL(w, cuEventSynchronize, event(w)); }
void time_events(World& w) {
  float ms = 0;
  CALL(w, cuEventElapsedTime_v2, &ms, event(w), event(w));
}

void run_host_function(World& w) {
  constexpr CUhostFn kFunctions[] = {[](void*) {},
                                     [](void* calls) { *static_cast<std::atomic<unsigned>*>(calls) += 1; },
                                     [](void*) { (void)cuCtxSynchronize(); }, nullptr};
  static std::atomic<unsigned> calls = 0;
  CALL(w, cuLaunchHostFunc, w.stream(), w.bytes.one_of(kFunctions), &calls);
}
void add_callback(World& w) {
  constexpr CUstreamCallback kNothing = [](CUstream, CUresult, void*) {};
  CALL(w, cuStreamAddCallback, w.stream(), w.bytes.below(8) == 0 ? nullptr : kNothing, nullptr,
       w.bytes.below(8) == 0);
}

}  // namespace

std::span<const Call> context_calls() {
  static constexpr Call kCalls[] = {
      create_context,    destroy_context, set_current,    push_current,        pop_current,
      retain_primary,    release_primary, reset_primary,  attach_context,      detach_context,
      ask_context,       limits,          peers,          synchronize_context, synchronize_that_context,
      create_stream,     create_stream,   destroy_stream, query_stream,        synchronize_stream,
      ask_stream,        create_event,    destroy_event,  stream_attributes,   record_event,
      record_event,      wait_for_event,  query_event,    synchronize_event,   time_events,
      run_host_function, add_callback};
  return kCalls;
}

}  // namespace tessera::fuzz
