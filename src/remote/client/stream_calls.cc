// Streams, events, captures, and functions of the program in streams.
#include "remote/client/callbacks.h"
#include "remote/client/connection.h"
#include "remote/client/installs.h"
#include "remote/client/launch.h"
#include "remote/client/request.h"
#include "remote/client/servers.h"
#include "remote/rpc.h"

namespace tessera::remote {
namespace {

template <typename Handle>
uint64_t id_of(Handle handle) {
  return reinterpret_cast<uint64_t>(handle);
}

bool has_context() { return is_initialised() && this_thread().current() != nullptr; }

// Made without waiting for an answer where the arguments are such as every driver takes.
CUresult create_stream(CUstream* stream, unsigned int flags, int priority, bool is_plain) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (stream == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const uint64_t id = Known::new_stream();
  Request request(Op::cuStreamCreateWithPriority, false);
  request.value(id).value(flags).value(priority);
  const bool may_queue = is_plain && has_context() && Known::healthy() && flags <= CU_STREAM_NON_BLOCKING;
  const CUresult result = may_queue ? request.queue() : request.run();
  if (result != CUDA_SUCCESS) return result;
  Known::set_stream(id, true);
  *stream = reinterpret_cast<CUstream>(id);
  return result;
}

CUresult stream_create(CUstream* stream, unsigned int flags) { return create_stream(stream, flags, 0, true); }

CUresult stream_create_with_priority(CUstream* stream, unsigned int flags, int priority) {
  return create_stream(stream, flags, priority, priority == 0);
}

CUresult stream_destroy(CUstream stream) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const CUresult result = rpc::cuStreamDestroy_v2(false, stream);
  if (result == CUDA_SUCCESS) Known::set_stream(id_of(stream), false);
  return result;
}

CUresult event_create(CUevent* event, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (event == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const uint64_t id = Known::new_event();
  Request request(Op::cuEventCreate, false);
  request.value(id).value(flags);
  constexpr unsigned kPlain = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING;
  const bool may_queue = has_context() && Known::healthy() && (flags & ~kPlain) == 0;
  const CUresult result = may_queue ? request.queue() : request.run();
  if (result != CUDA_SUCCESS) return result;
  Known::set_event(id, true);
  *event = reinterpret_cast<CUevent>(id);
  return result;
}

CUresult event_destroy(CUevent event) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  Request request(Op::cuEventDestroy_v2, false);
  request.value(event);
  const bool may_queue = Known::event(event) && Known::healthy() && has_context();
  const CUresult result = may_queue ? request.queue() : request.run();
  if (result == CUDA_SUCCESS) Known::set_event(id_of(event), false);
  return result;
}

// Whatever the program has changed where the device can see it, on its way to whose that handle is.
template <typename Handle>
void publish_to(Handle handle) {
  if (Session* found = session_of(server_of_handle(handle))) publish_host_memory(*found, {});
}

// No server can wait for another: the program does, here, until the event has come.
template <bool kPerThread>
CUresult stream_wait_event(CUstream stream, CUevent event, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (!Known::event(event) || !are_apart(event, stream))
    return rpc::cuStreamWaitEvent(kPerThread, stream, event, flags);
  publish_to(event);
  return Request(Op::cuEventSynchronize, false).value(event).run_and_tell();
}

template <bool kPerThread>
CUresult event_record(CUevent event, CUstream stream) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (are_apart(event, stream)) return CUDA_ERROR_INVALID_HANDLE;
  Request request(Op::cuEventRecord, kPerThread);
  request.value(event).value(stream);
  const bool may_queue = Known::healthy() && Known::stream(kPerThread, stream) && Known::event(event) &&
                         Known::of_one_context(event, stream);
  return may_queue ? request.queue() : request.run();
}

template <bool kPerThread>
CUresult event_record_with_flags(CUevent event, CUstream stream, unsigned int flags) {
  if (flags == 0) return event_record<kPerThread>(event, stream);
  return rpc::cuEventRecordWithFlags(kPerThread, event, stream, flags);
}

template <bool kPerThread>
CUresult stream_synchronize(CUstream stream) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  publish_to(stream);
  return Request(Op::cuStreamSynchronize, kPerThread).value(stream).run_and_tell();
}

CUresult event_synchronize(CUevent event) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  publish_to(event);
  return Request(Op::cuEventSynchronize, false).value(event).run_and_tell();
}

// --- Captures. While one is going on every call waits for its answer: what may be called changes with it.

template <typename Begin>
CUresult begin_capture(Begin begin) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  const CUresult result = begin();
  if (result == CUDA_SUCCESS) Known::capture_began();
  return result;
}

template <bool kPerThread>
CUresult stream_begin_capture_v2(CUstream stream, CUstreamCaptureMode mode) {
  return begin_capture([&] { return rpc::cuStreamBeginCapture_v2(kPerThread, stream, mode); });
}

template <bool kPerThread>
CUresult stream_begin_capture(CUstream stream) {
  return begin_capture([&] { return rpc::cuStreamBeginCapture(kPerThread, stream); });
}

template <bool kPerThread>
CUresult stream_begin_capture_to_graph(CUstream stream, CUgraph graph, const CUgraphNode* dependencies,
                                       const CUgraphEdgeData* edges, size_t count, CUstreamCaptureMode mode) {
  return begin_capture([&] {
    return rpc::cuStreamBeginCaptureToGraph(kPerThread, stream, graph, dependencies, edges, count, mode);
  });
}

template <bool kPerThread>
CUresult stream_end_capture(CUstream stream, CUgraph* graph) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *graph = nullptr;
  CUstreamCaptureStatus before = CU_STREAM_CAPTURE_STATUS_NONE, after = CU_STREAM_CAPTURE_STATUS_NONE;
  if (Known::capturing()) (void)rpc::cuStreamIsCapturing(kPerThread, stream, &before);
  const CUresult result = rpc::cuStreamEndCapture(kPerThread, stream, graph);
  if (before != CU_STREAM_CAPTURE_STATUS_NONE) {
    (void)rpc::cuStreamIsCapturing(kPerThread, stream, &after);
    if (after == CU_STREAM_CAPTURE_STATUS_NONE) Known::capture_ended();
  }
  return result;
}

// The arrays live until the thread asks again.
template <bool kPerThread>
CUresult stream_get_capture_info_v3(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id,
                                    CUgraph* graph, const CUgraphNode** dependencies,
                                    const CUgraphEdgeData** edges, size_t* count) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Request request(Op::cuStreamGetCaptureInfo_v3, kPerThread);
  const CUresult result = request.value(stream).run();
  if (result != CUDA_SUCCESS) return result;
  ThreadState& thread = this_thread();
  *status = request.next_value<CUstreamCaptureStatus>();
  const auto found_id = request.next_value<cuuint64_t>();
  auto* found_graph = reinterpret_cast<CUgraph>(request.next_value<uint64_t>());
  uint64_t nodes = 0, edge_count = 0;
  const auto* found = request.next_array<CUgraphNode>(&nodes);
  thread.captured.assign(found, found + nodes);
  const auto* found_edges = request.next_array<CUgraphEdgeData>(&edge_count);
  if (edge_count != 0 && edge_count != nodes) return CUDA_ERROR_UNKNOWN;  // an edge for each node
  thread.captured_edges.assign(found_edges, found_edges + edge_count);
  if (*status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return result;
  if (id != nullptr) *id = found_id;
  if (graph != nullptr) *graph = found_graph;
  if (dependencies != nullptr) *dependencies = thread.captured.data();
  if (edges != nullptr) *edges = thread.captured_edges.empty() ? nullptr : thread.captured_edges.data();
  if (count != nullptr) *count = nodes;
  return result;
}

template <bool kPerThread>
CUresult stream_get_capture_info_v2(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id,
                                    CUgraph* graph, const CUgraphNode** dependencies, size_t* count) {
  return stream_get_capture_info_v3<kPerThread>(stream, status, id, graph, dependencies, nullptr, count);
}

CUresult exchange_capture_mode(CUstreamCaptureMode* mode) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (mode == nullptr || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  return rpc::cuThreadExchangeStreamCaptureMode(false, mode);
}

// --- Functions of the program.

template <bool kPerThread>
CUresult launch_host_func(CUstream stream, CUhostFn function, void* argument) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const bool is_captured = Known::capturing();
  Session* its = session_of(server_of_handle(stream));
  if (its == nullptr) return without_session();
  // Where any stream is captured, this one may be: then a graph calls it, as often as it likes.
  const uint64_t number =
      is_captured ? number_graph_function(function, argument) : number_host_function(function, argument);
  if (number == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  its->expect_callbacks(is_captured);
  const CUresult result = Request(Op::cuLaunchHostFunc, kPerThread).value(stream).value(number).run();
  if (result != CUDA_SUCCESS) {
    its->expect_no_callback();
    forget_number(number);
  }
  return result;
}

template <bool kPerThread>
CUresult stream_add_callback(CUstream stream, CUstreamCallback callback, void* argument, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (callback == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  Session* its = session_of(server_of_handle(stream));
  if (its == nullptr) return without_session();
  its->expect_callbacks(false);
  const uint64_t number = number_stream_callback(callback, stream, argument);
  const CUresult result = Request(Op::cuStreamAddCallback, kPerThread).value(stream).value(number).run();
  if (result != CUDA_SUCCESS) {
    its->expect_no_callback();
    forget_number(number);
  }
  return result;
}

// Values that streams wait for, or write, may lie in memory of the program.
void note_values(CUstream stream, ByteSpan values) {
  if (Session* found = session_of(server_of_handle(stream))) publish_host_memory(*found, values);
}

template <auto Rpc, bool kPerThread, typename Value>
CUresult stream_value(CUstream stream, CUdeviceptr address, Value value, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  note_values(stream, std::as_bytes(std::span(&address, 1)));
  return Rpc(kPerThread, stream, address, value, flags);
}

template <auto Rpc, bool kPerThread>
CUresult stream_batch(CUstream stream, unsigned int count, CUstreamBatchMemOpParams* ops,
                      unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  if (ops != nullptr) note_values(stream, std::as_bytes(std::span(ops, count)));
  return Rpc(kPerThread, stream, count, ops, flags);
}

void install_stream_values(cuda::DriverTable& table) {
  table.cuStreamWaitValue32 = stream_value<rpc::cuStreamWaitValue32, false>;
  table.cuStreamWaitValue32_ptsz = stream_value<rpc::cuStreamWaitValue32, true>;
  table.cuStreamWaitValue32_v2 = stream_value<rpc::cuStreamWaitValue32_v2, false>;
  table.cuStreamWaitValue32_v2_ptsz = stream_value<rpc::cuStreamWaitValue32_v2, true>;
  table.cuStreamWaitValue64 = stream_value<rpc::cuStreamWaitValue64, false>;
  table.cuStreamWaitValue64_ptsz = stream_value<rpc::cuStreamWaitValue64, true>;
  table.cuStreamWaitValue64_v2 = stream_value<rpc::cuStreamWaitValue64_v2, false>;
  table.cuStreamWaitValue64_v2_ptsz = stream_value<rpc::cuStreamWaitValue64_v2, true>;
  table.cuStreamWriteValue32 = stream_value<rpc::cuStreamWriteValue32, false>;
  table.cuStreamWriteValue32_ptsz = stream_value<rpc::cuStreamWriteValue32, true>;
  table.cuStreamWriteValue32_v2 = stream_value<rpc::cuStreamWriteValue32_v2, false>;
  table.cuStreamWriteValue32_v2_ptsz = stream_value<rpc::cuStreamWriteValue32_v2, true>;
  table.cuStreamWriteValue64 = stream_value<rpc::cuStreamWriteValue64, false>;
  table.cuStreamWriteValue64_ptsz = stream_value<rpc::cuStreamWriteValue64, true>;
  table.cuStreamWriteValue64_v2 = stream_value<rpc::cuStreamWriteValue64_v2, false>;
  table.cuStreamWriteValue64_v2_ptsz = stream_value<rpc::cuStreamWriteValue64_v2, true>;
  table.cuStreamBatchMemOp = stream_batch<rpc::cuStreamBatchMemOp, false>;
  table.cuStreamBatchMemOp_ptsz = stream_batch<rpc::cuStreamBatchMemOp, true>;
  table.cuStreamBatchMemOp_v2 = stream_batch<rpc::cuStreamBatchMemOp_v2, false>;
  table.cuStreamBatchMemOp_v2_ptsz = stream_batch<rpc::cuStreamBatchMemOp_v2, true>;
}

// Programs ask again and again until what they have written has been seen.
template <bool kPerThread>
CUresult stream_query(CUstream stream) {
  publish_to(stream);
  return rpc::cuStreamQuery(kPerThread, stream);
}

CUresult event_query(CUevent event) {
  publish_to(event);
  return rpc::cuEventQuery(false, event);
}

template <bool kPerThread>
CUresult stream_get_ctx_v2(CUstream stream, CUcontext* context, CUgreenCtx* green) {
  const CUresult result = rpc::cuStreamGetCtx(kPerThread, stream, context);
  if (result == CUDA_SUCCESS && green != nullptr) *green = nullptr;
  return result;
}

}  // namespace

void install_stream_calls(cuda::DriverTable& table) {
  install_stream_values(table);
  table.cuStreamCreate = stream_create;
  table.cuStreamCreateWithPriority = stream_create_with_priority;
  table.cuStreamDestroy = stream_destroy;
  table.cuStreamDestroy_v2 = stream_destroy;
  table.cuEventCreate = event_create;
  table.cuEventDestroy = event_destroy;
  table.cuEventDestroy_v2 = event_destroy;
  table.cuStreamWaitEvent = stream_wait_event<false>;
  table.cuStreamWaitEvent_ptsz = stream_wait_event<true>;
  table.cuEventRecord = event_record<false>;
  table.cuEventRecord_ptsz = event_record<true>;
  table.cuEventRecordWithFlags = event_record_with_flags<false>;
  table.cuEventRecordWithFlags_ptsz = event_record_with_flags<true>;
  table.cuStreamSynchronize = stream_synchronize<false>;
  table.cuStreamSynchronize_ptsz = stream_synchronize<true>;
  table.cuEventSynchronize = event_synchronize;
  table.cuStreamQuery = stream_query<false>;
  table.cuStreamQuery_ptsz = stream_query<true>;
  table.cuEventQuery = event_query;
  table.cuStreamBeginCapture = stream_begin_capture<false>;
  table.cuStreamBeginCapture_ptsz = stream_begin_capture<true>;
  table.cuStreamBeginCapture_v2 = stream_begin_capture_v2<false>;
  table.cuStreamBeginCapture_v2_ptsz = stream_begin_capture_v2<true>;
  table.cuStreamBeginCaptureToGraph = stream_begin_capture_to_graph<false>;
  table.cuStreamBeginCaptureToGraph_ptsz = stream_begin_capture_to_graph<true>;
  table.cuStreamEndCapture = stream_end_capture<false>;
  table.cuStreamEndCapture_ptsz = stream_end_capture<true>;
  table.cuStreamGetCaptureInfo_v2 = stream_get_capture_info_v2<false>;
  table.cuStreamGetCaptureInfo_v2_ptsz = stream_get_capture_info_v2<true>;
  table.cuStreamGetCaptureInfo_v3 = stream_get_capture_info_v3<false>;
  table.cuStreamGetCaptureInfo_v3_ptsz = stream_get_capture_info_v3<true>;
  table.cuThreadExchangeStreamCaptureMode = exchange_capture_mode;
  table.cuLaunchHostFunc = launch_host_func<false>;
  table.cuLaunchHostFunc_ptsz = launch_host_func<true>;
  table.cuStreamAddCallback = stream_add_callback<false>;
  table.cuStreamAddCallback_ptsz = stream_add_callback<true>;
  table.cuStreamGetCtx_v2 = stream_get_ctx_v2<false>;
  table.cuStreamGetCtx_v2_ptsz = stream_get_ctx_v2<true>;
}

}  // namespace tessera::remote
