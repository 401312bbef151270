#include "softgpu/driver/graph/capture.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "softgpu/driver/current.h"
#include "softgpu/driver/graph/work.h"
#include "softgpu/driver/handle_registry.h"

namespace tessera::softgpu {

std::atomic<int> active_captures{0};

namespace {

uint64_t next_capture_id = 1;  // under graph_mutex()
thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

// Under graph_mutex().
std::vector<std::shared_ptr<CaptureSession>>& sessions() {
  static auto* made = new std::vector<std::shared_ptr<CaptureSession>>();
  return *made;
}

bool involves(const CaptureSession& session, const Context& context, bool blocking_only) {
  return std::any_of(session.streams.begin(), session.streams.end(), [&](const auto& stream) {
    const bool counts = !blocking_only || (stream->flags() & CU_STREAM_NON_BLOCKING) == 0;
    return counts && &stream->context() == &context;
  });
}

// The legacy stream waits for all blocking streams, captured ones included, and that cannot be.
CUresult check_legacy(Stream& stream) {
  CUresult result = CUDA_SUCCESS;
  for (const auto& session : sessions()) {
    if (!involves(*session, stream.context(), true)) continue;
    session->invalidated = true;
    result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  return result;
}

void merge(CapturePoint* into, const CapturePoint& from) {
  for (size_t i = 0; i < from.nodes.size(); ++i) {
    if (std::find(into->nodes.begin(), into->nodes.end(), from.nodes[i]) == into->nodes.end()) {
      into->add(from.nodes[i], from.edges[i]);
    }
  }
}

CUresult add_locked(StreamCapture& capture, const AddNode& add, CUgraphNode* out) {
  if (capture.session->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  std::vector<GraphNode::Edge> edges;
  for (size_t i = 0; i < capture.point.nodes.size(); ++i) {
    GraphNode* from = live<GraphNode>().find(capture.point.nodes[i]).get();
    if (from != nullptr) edges.push_back({from, capture.point.edges[i]});  // else the program destroyed it
  }
  GraphNode* node = nullptr;
  const CUresult result = add(*capture.session->graph, edges, &node);
  if (result != CUDA_SUCCESS) {
    capture.session->invalidated = true;
    return result;
  }
  capture.point = {};
  capture.point.add(node->handle(), kPlainEdge);
  if (out != nullptr) *out = node->handle();
  return CUDA_SUCCESS;
}

CUresult add_locked(StreamCapture& capture, WorkRef work, CUgraphNode* out) {
  const AddNode add = [&](Graph& graph, std::span<const GraphNode::Edge> edges, GraphNode** node) {
    return graph.add(std::move(work), edges, node);
  };
  return add_locked(capture, add, out);
}

// Whether every end of every other stream comes before the ends of the first one.
bool joined(const CaptureSession& session) {
  std::unordered_set<CUgraphNode> before;
  std::vector<CUgraphNode> open = session.streams.front()->capture()->point.nodes;
  while (!open.empty()) {
    const CUgraphNode handle = open.back();
    open.pop_back();
    const auto node = live<GraphNode>().find(handle);
    if (!node || !before.insert(handle).second) continue;
    for (const GraphNode::Edge& edge : node->dependencies()) open.push_back(edge.from->handle());
  }
  return std::all_of(session.streams.begin(), session.streams.end(), [&](const auto& stream) {
    const auto& ends = stream->capture()->point.nodes;
    return std::all_of(ends.begin(), ends.end(), [&](CUgraphNode end) {
      return before.contains(end) || live<GraphNode>().find(end) == nullptr;
    });
  });
}

void finish(const std::shared_ptr<CaptureSession>& session, bool keep_graph) {
  if (!keep_graph && !session->into_existing) session->graph->retire();
  session->graph.reset();
  session->ended = true;
  for (const auto& stream : session->streams) stream->set_capture(nullptr);
  session->streams.clear();
  std::erase(sessions(), session);
  active_captures.fetch_sub(1, std::memory_order_release);
}

}  // namespace

void CapturePoint::add(CUgraphNode node, const CUgraphEdgeData& edge) {
  nodes.push_back(node);
  edges.push_back(edge);
}

CUresult enter_stream(Stream& stream, bool* captured) {
  *captured = false;
  if (!any_capture()) return CUDA_SUCCESS;
  std::lock_guard lock(graph_mutex());
  if (const auto& capture = stream.capture()) {
    *captured = true;
    return capture->session->invalidated ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
  }
  return stream.legacy() ? check_legacy(stream) : CUDA_SUCCESS;
}

CUresult capture_work(Stream& stream, WorkRef work, CUgraphNode* node) {
  std::lock_guard lock(graph_mutex());
  const auto& capture = stream.capture();
  return capture ? add_locked(*capture, std::move(work), node) : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
}

CUresult capture_node(Stream& stream, const AddNode& add) {
  std::lock_guard lock(graph_mutex());
  const auto& capture = stream.capture();
  return capture ? add_locked(*capture, add, nullptr) : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
}

CUresult capture_event_record(Stream& stream, const std::shared_ptr<Event>& event, bool external) {
  std::lock_guard lock(graph_mutex());
  const auto& capture = stream.capture();
  if (!capture) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (external) return add_locked(*capture, std::make_shared<EventWork>(true, event), nullptr);
  if (capture->session->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  event->set_captured(std::make_shared<StreamCapture>(*capture));
  return CUDA_SUCCESS;
}

CUresult capture_event_wait(const std::shared_ptr<Stream>& stream, const std::shared_ptr<Event>& event,
                            bool external, bool* done) {
  *done = false;
  std::shared_ptr<StreamCapture> recorded = event->captured();
  if (!recorded && !any_capture()) return CUDA_SUCCESS;
  std::lock_guard lock(graph_mutex());
  *done = true;
  const auto& capture = stream->capture();
  if (capture && external) return add_locked(*capture, std::make_shared<EventWork>(false, event), nullptr);
  if (capture && capture->session->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (recorded && recorded->session->ended) {
    if (capture) capture->session->invalidated = true;
    return CUDA_ERROR_CAPTURED_EVENT;
  }
  if (!recorded) {
    if (!capture) {
      *done = false;
      return stream->legacy() ? check_legacy(*stream) : CUDA_SUCCESS;
    }
    if (event->recorded() == nullptr) return CUDA_SUCCESS;  // nothing to wait for, in a capture or outside
    capture->session->invalidated = true;
    return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  }
  if (recorded->session->invalidated) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (capture && capture->session != recorded->session) {
    capture->session->invalidated = recorded->session->invalidated = true;
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  if (capture) {
    merge(&capture->point, recorded->point);
    return CUDA_SUCCESS;
  }
  if (stream->legacy()) {
    recorded->session->invalidated = true;
    return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  }
  recorded->session->streams.push_back(stream);
  stream->set_capture(std::make_shared<StreamCapture>(*recorded));
  return CUDA_SUCCESS;
}

CUresult forbid_captured(Stream& stream) {
  if (!any_capture()) return CUDA_SUCCESS;
  std::lock_guard lock(graph_mutex());
  if (const auto& capture = stream.capture()) {
    capture->session->invalidated = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return stream.legacy() ? check_legacy(stream) : CUDA_SUCCESS;
}

CUresult forbid_captured(Context& context) {
  if (!any_capture()) return CUDA_SUCCESS;
  std::lock_guard lock(graph_mutex());
  CUresult result = CUDA_SUCCESS;
  for (const auto& session : sessions()) {
    if (!involves(*session, context, false)) continue;
    session->invalidated = true;
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

CUresult forbid_captured(Event& event) {
  const std::shared_ptr<StreamCapture> recorded = event.captured();
  if (!recorded) return CUDA_SUCCESS;
  std::lock_guard lock(graph_mutex());
  recorded->session->invalidated = true;
  return CUDA_ERROR_CAPTURED_EVENT;
}

CUresult forbid_unsafe() {
  if (!any_capture() || thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_SUCCESS;
  std::lock_guard lock(graph_mutex());
  CUresult result = CUDA_SUCCESS;
  for (const auto& session : sessions()) {
    const bool mine = session->thread == thread_number() && session->mode != CU_STREAM_CAPTURE_MODE_RELAXED;
    const bool anyones =
        thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL && session->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (!mine && !anyones) continue;
    session->invalidated = true;
    result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return result;
}

CUstreamCaptureMode exchange_capture_mode(CUstreamCaptureMode mode) {
  return std::exchange(thread_mode, mode);
}

bool captured_beside(const Stream& legacy) {
  return std::any_of(sessions().begin(), sessions().end(),
                     [&](const auto& session) { return involves(*session, legacy.context(), true); });
}

CUresult begin_capture(const std::shared_ptr<Stream>& stream, CUstreamCaptureMode mode,
                       std::shared_ptr<Graph> existing, CapturePoint from) {
  if (mode > CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_INVALID_VALUE;
  if (stream->legacy()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (stream->capture()) return CUDA_ERROR_ILLEGAL_STATE;
  auto session = std::make_shared<CaptureSession>();
  session->id = next_capture_id++;
  session->into_existing = existing != nullptr;
  session->graph = existing ? std::move(existing) : Graph::create();
  session->mode = mode;
  session->thread = thread_number();
  session->streams.push_back(stream);
  stream->set_capture(std::make_shared<StreamCapture>(StreamCapture{session, std::move(from)}));
  sessions().push_back(std::move(session));
  active_captures.fetch_add(1, std::memory_order_release);
  return CUDA_SUCCESS;
}

CUresult end_capture(Stream& stream, CUgraph* graph) {
  *graph = nullptr;
  if (!stream.capture()) return CUDA_ERROR_ILLEGAL_STATE;
  const std::shared_ptr<CaptureSession> session = stream.capture()->session;
  if (session->mode != CU_STREAM_CAPTURE_MODE_RELAXED && session->thread != thread_number()) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  if (session->streams.front().get() != &stream) {
    session->invalidated = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  }
  CUresult result = CUDA_SUCCESS;
  if (session->invalidated) {
    result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  } else if (!joined(*session)) {
    result = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  }
  if (result == CUDA_SUCCESS) *graph = session->graph->handle();
  finish(session, result == CUDA_SUCCESS);
  return result;
}

void abandon_captures(const Context& context) {
  if (!any_capture()) return;
  std::lock_guard lock(graph_mutex());
  const std::vector<std::shared_ptr<CaptureSession>> all = sessions();
  for (const auto& session : all) {
    if (involves(*session, context, false)) finish(session, false);
  }
}

}  // namespace tessera::softgpu
