// Contexts, streams, events.
#include <atomic>
#include <iterator>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

CUcontext context(World& w) { return w.get<CUcontext>(Kind::kContext); }
CUevent event(World& w) { return w.get<CUevent>(Kind::kEvent); }

void create_context(World& w) {
  constexpr unsigned kFlags[] = {0, CU_CTX_SCHED_BLOCKING_SYNC, CU_CTX_MAP_HOST}, kWrong[] = {3, 0x1000};
  CUcontext made = nullptr;
  if (w.living(Kind::kContext).size() > 8) return;
  if (CALL(w, cuCtxCreate_v2, &made, w.bytes.one_of(kFlags, kWrong), w.device()) == CUDA_SUCCESS)
    w.add(Kind::kContext, made);
}

void destroy_context(World& w) {
  const CUcontext old = context(w);
  if (CALL(w, cuCtxDestroy_v2, old) != CUDA_SUCCESS) return;
  w.gone(Kind::kContext, old);
  w.freed_unknown();
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
  CALL(w, cuCtxAttach, &attached, w.bytes.rarely());
}
void detach_context(World& w) {
  CUcontext current = nullptr;
  CALL(w, cuCtxGetCurrent, &current);
  if (CALL(w, cuCtxDetach, w.bytes.rarely() ? context(w) : current) == CUDA_SUCCESS) w.freed_unknown();
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
  constexpr size_t kValues[] = {0, 1, 64, 128, 1024, 65536}, kWrong[] = {1 << 20, 8 << 20, 1ull << 40, ~0ull};
  const auto limit = static_cast<CUlimit>(
      w.bytes.below(w.bytes.rarely() ? CU_LIMIT_MAX + 2 : CU_LIMIT_PERSISTING_L2_CACHE_SIZE));
  size_t value = w.bytes.one_of(kValues, kWrong);
  CALL(w, cuCtxSetLimit, limit, value);
  CALL(w, cuCtxGetLimit, &value, limit);
}

void synchronize_context(World& w) { CALL(w, cuCtxSynchronize); }
void synchronize_that_context(World& w) { CALL(w, cuCtxSynchronize_v2, context(w)); }

// A context on the other device than the current one's.
CUcontext peer(World& w) {
  CUdevice here = 0, there = 0;
  CALL(w, cuCtxGetDevice, &here);
  for (const uint64_t known : w.living(Kind::kContext)) {
    const auto candidate = reinterpret_cast<CUcontext>(known);
    if (CALL(w, cuCtxGetDevice_v2, &there, candidate) == CUDA_SUCCESS && there != here) return candidate;
  }
  CUcontext made = nullptr;
  if (CALL(w, cuCtxCreate_v2, &made, 0, 1 - here) != CUDA_SUCCESS) return nullptr;
  w.add(Kind::kContext, made);
  CALL(w, cuCtxPopCurrent_v2, &made);
  return made;
}

void peers(World& w) {
  int can = 0;
  CALL(w, cuDeviceCanAccessPeer, &can, w.device(), w.device());
  const CUcontext other = w.bytes.rarely() ? context(w) : peer(w);
  if (w.bytes.below(4) != 0) CALL(w, cuCtxEnablePeerAccess, other, w.bytes.rarely());
  if (w.bytes.coin()) CALL(w, cuCtxDisablePeerAccess, other);
}

void create_stream(World& w) {
  CUstream made = nullptr;
  const unsigned flags = w.bytes.rarely() ? 2 : w.bytes.below(2);
  const int priority = static_cast<int>(w.bytes.byte()) - 128;
  if (CALL(w, cuStreamCreateWithPriority, &made, flags, priority) == CUDA_SUCCESS) w.add(Kind::kStream, made);
}
void destroy_stream(World& w) {
  const CUstream old = w.stream();
  if (CALL(w, cuStreamDestroy_v2, old) == CUDA_SUCCESS) w.gone(Kind::kStream, old);
}
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
  constexpr CUlaunchAttributeID kIds[] = {CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW,
                                          CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY,
                                          CU_LAUNCH_ATTRIBUTE_PRIORITY, CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN};
  const auto attribute =
      w.bytes.rarely() ? static_cast<CUlaunchAttributeID>(w.bytes.below(18)) : w.bytes.one_of(kIds);
  CALL(w, cuStreamGetAttribute, w.stream(), attribute, &value);
  if (attribute != CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW)
    value.syncPolicy = static_cast<CUsynchronizationPolicy>(w.bytes.rarely() ? 5 : 1 + w.bytes.below(3));
  CALL(w, cuStreamSetAttribute, w.stream(), attribute, &value);
  CALL(w, cuStreamCopyAttributes, w.stream(), w.stream());
}

void create_event(World& w) {
  constexpr unsigned kFlags[] = {0, 0, CU_EVENT_BLOCKING_SYNC, CU_EVENT_DISABLE_TIMING,
                                 CU_EVENT_INTERPROCESS | CU_EVENT_DISABLE_TIMING};
  constexpr unsigned kWrong[] = {CU_EVENT_INTERPROCESS, ~0u};
  CUevent made = nullptr;
  if (CALL(w, cuEventCreate, &made, w.bytes.one_of(kFlags, kWrong)) == CUDA_SUCCESS)
    w.add(Kind::kEvent, made);
}
void destroy_event(World& w) {
  const CUevent old = event(w);
  if (CALL(w, cuEventDestroy_v2, old) == CUDA_SUCCESS) w.gone(Kind::kEvent, old);
}
void record_event(World& w) { CALL(w, cuEventRecordWithFlags, event(w), w.stream(), w.bytes.rarely()); }
void wait_for_event(World& w) { CALL(w, cuStreamWaitEvent, w.stream(), event(w), w.bytes.rarely()); }
void query_event(World& w) { CALL(w, cuEventQuery, event(w)); }
void synchronize_event(World& w) { CALL(w, cuEventSynchronize, event(w)); }
void time_events(World& w) {
  float ms = 0;
  const CUevent from = event(w), to = event(w);
  if (w.bytes.below(4) != 0) {
    CALL(w, cuEventRecordWithFlags, from, w.stream(), 0);
    CALL(w, cuEventRecordWithFlags, to, w.stream(), 0);
    if (w.bytes.coin()) CALL(w, cuCtxSynchronize);
  }
  CALL(w, cuEventElapsedTime_v2, &ms, from, to);
}

void run_host_function(World& w) {
  constexpr CUhostFn kFunctions[] = {[](void*) {},
                                     [](void* calls) { *static_cast<std::atomic<unsigned>*>(calls) += 1; },
                                     [](void*) { (void)cuCtxSynchronize(); }};
  static std::atomic<unsigned> calls = 0;
  CALL(w, cuLaunchHostFunc, w.stream(), w.bytes.rarely() ? nullptr : w.bytes.one_of(kFunctions), &calls);
}
void add_callback(World& w) {
  constexpr CUstreamCallback kNothing = [](CUstream, CUresult, void*) {};
  CALL(w, cuStreamAddCallback, w.stream(), w.bytes.rarely() ? nullptr : kNothing, nullptr, w.bytes.rarely());
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
