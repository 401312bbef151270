// Stream capture: beginning, ending, and asking about it.
#include "cuda/abi.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/graph/capture.h"
#include "softgpu/driver/graph/lookup.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

// Runs `body(shared_ptr<Stream>)` with graph_mutex() held.
template <typename Body>
CUresult on_stream(CUstream handle, Body&& body) {
  return on_graphs([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(handle, &stream));
    return body(stream);
  });
}

struct CaptureInfo {
  CUstreamCaptureStatus* status;
  cuuint64_t* id = nullptr;
  CUgraph* graph = nullptr;
  const CUgraphNode** dependencies = nullptr;
  const CUgraphEdgeData** edges = nullptr;
  size_t* count = nullptr;
  bool tells_edges = false;
};

CUresult answer(CUstream handle, const CaptureInfo& out) {
  return on_stream(handle, [&](const std::shared_ptr<Stream>& stream) -> CUresult {
    if (out.status == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (stream->legacy() && captured_beside(*stream)) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    const auto& capture = stream->capture();
    *out.status = !capture                        ? CU_STREAM_CAPTURE_STATUS_NONE
                  : capture->session->invalidated ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                                  : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    const bool active = *out.status == CU_STREAM_CAPTURE_STATUS_ACTIVE;
    if (out.id != nullptr) *out.id = active ? capture->session->id : 0;
    if (out.graph != nullptr) *out.graph = active ? capture->session->graph->handle() : nullptr;
    if (out.dependencies != nullptr) *out.dependencies = active ? capture->point.nodes.data() : nullptr;
    if (out.edges != nullptr) *out.edges = active ? capture->point.edges.data() : nullptr;
    if (out.count != nullptr) *out.count = active ? capture->point.nodes.size() : 0;
    if (!active || out.tells_edges || out.dependencies == nullptr) return CUDA_SUCCESS;
    for (const CUgraphEdgeData& edge : capture->point.edges) {
      if (!same_edge(edge, kPlainEdge)) return CUDA_ERROR_LOSSY_QUERY;
    }
    return CUDA_SUCCESS;
  });
}

// Nodes that a capture may go on from: of its graph, each once.
CUresult point_of(const Graph& graph, const CUgraphNode* nodes, const CUgraphEdgeData* edges, size_t count,
                  CapturePoint* point) {
  std::vector<GraphNode::Edge> found;
  SOFTGPU_RETURN_IF_ERROR(edges_of(nodes, edges, count, &found));
  for (const GraphNode::Edge& edge : found) {
    if (&edge.from->graph() != &graph) return CUDA_ERROR_INVALID_VALUE;
    point->add(edge.from->handle(), edge.data);
  }
  return CUDA_SUCCESS;
}

CUresult update(CUstream handle, const CUgraphNode* nodes, const CUgraphEdgeData* edges, size_t count,
                unsigned flags) {
  return on_stream(handle, [&](const std::shared_ptr<Stream>& stream) -> CUresult {
    const auto& capture = stream->capture();
    if (!capture) return CUDA_ERROR_ILLEGAL_STATE;
    if (capture->session->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES) return CUDA_ERROR_INVALID_VALUE;
    CapturePoint point;
    if (flags == CU_STREAM_ADD_CAPTURE_DEPENDENCIES) point = capture->point;
    SOFTGPU_RETURN_IF_ERROR(point_of(*capture->session->graph, nodes, edges, count, &point));
    capture->point = std::move(point);
    return CUDA_SUCCESS;
  });
}

}  // namespace

extern "C" {

CUresult cuStreamBeginCapture(CUstream hStream) {
  return cuStreamBeginCapture_v2(hStream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}
CUresult cuStreamBeginCapture_v2(CUstream hStream, CUstreamCaptureMode mode) {
  return on_stream(hStream, [&](const std::shared_ptr<Stream>& stream) {
    return begin_capture(stream, mode, nullptr, {});
  });
}
CUresult cuStreamBeginCaptureToGraph(CUstream hStream, CUgraph hGraph, const CUgraphNode* dependencies,
                                     const CUgraphEdgeData* dependencyData, size_t numDependencies,
                                     CUstreamCaptureMode mode) {
  return on_stream(hStream, [&](const std::shared_ptr<Stream>& stream) -> CUresult {
    auto graph = live<Graph>().find(hGraph);
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    CapturePoint point;
    SOFTGPU_RETURN_IF_ERROR(point_of(*graph, dependencies, dependencyData, numDependencies, &point));
    return begin_capture(stream, mode, std::move(graph), std::move(point));
  });
}

CUresult cuStreamEndCapture(CUstream hStream, CUgraph* phGraph) {
  return on_stream(hStream, [&](const std::shared_ptr<Stream>& stream) -> CUresult {
    return phGraph == nullptr ? CUDA_ERROR_INVALID_VALUE : end_capture(*stream, phGraph);
  });
}

CUresult cuStreamIsCapturing(CUstream hStream, CUstreamCaptureStatus* captureStatus) {
  return answer(hStream, {captureStatus});
}
CUresult cuStreamGetCaptureInfo(CUstream hStream, CUstreamCaptureStatus* captureStatus_out,
                                cuuint64_t* id_out) {
  return answer(hStream, {captureStatus_out, id_out});
}
CUresult cuStreamGetCaptureInfo_v2(CUstream hStream, CUstreamCaptureStatus* captureStatus_out,
                                   cuuint64_t* id_out, CUgraph* graph_out,
                                   const CUgraphNode** dependencies_out, size_t* numDependencies_out) {
  return answer(hStream,
                {captureStatus_out, id_out, graph_out, dependencies_out, nullptr, numDependencies_out});
}
CUresult cuStreamGetCaptureInfo_v3(CUstream hStream, CUstreamCaptureStatus* captureStatus_out,
                                   cuuint64_t* id_out, CUgraph* graph_out,
                                   const CUgraphNode** dependencies_out, const CUgraphEdgeData** edgeData_out,
                                   size_t* numDependencies_out) {
  return answer(hStream, {captureStatus_out, id_out, graph_out, dependencies_out, edgeData_out,
                          numDependencies_out, edgeData_out != nullptr});
}

CUresult cuStreamUpdateCaptureDependencies(CUstream hStream, CUgraphNode* dependencies,
                                           size_t numDependencies, unsigned int flags) {
  return update(hStream, dependencies, nullptr, numDependencies, flags);
}
CUresult cuStreamUpdateCaptureDependencies_v2(CUstream hStream, CUgraphNode* dependencies,
                                              const CUgraphEdgeData* dependencyData, size_t numDependencies,
                                              unsigned int flags) {
  return update(hStream, dependencies, dependencyData, numDependencies, flags);
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  if (mode == nullptr || *mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  *mode = exchange_capture_mode(*mode);
  return CUDA_SUCCESS;
}

}  // extern "C"
