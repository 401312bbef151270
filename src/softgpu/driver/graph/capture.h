// Stream capture: calls that would add work to a stream add nodes to a graph instead.
//
// A capture begins in one stream and spreads to others that wait for its events. What it forbids invalidates
// it: it goes on to answer errors until it is ended where it began. Everything here is under graph_mutex(),
// which these functions take themselves; without any capture they look at one number.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "cuda/abi.h"
#include "softgpu/driver/event.h"
#include "softgpu/driver/graph/graph.h"
#include "softgpu/driver/stream.h"

namespace tessera::softgpu {

struct CaptureSession {
  uint64_t id = 0;
  std::shared_ptr<Graph> graph;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  uint64_t thread = 0;
  bool into_existing = false;  // the program's own graph, which outlives a failed capture
  bool invalidated = false;
  bool ended = false;
  std::vector<std::shared_ptr<Stream>> streams;  // the first is where it began
};

// A list of nodes and of the edges from them, side by side: programs are shown both as they lie here.
struct CapturePoint {
  std::vector<CUgraphNode> nodes;
  std::vector<CUgraphEdgeData> edges;
  void add(CUgraphNode node, const CUgraphEdgeData& edge);
};

// What a stream that is captured knows; what an event that was recorded in one means.
struct StreamCapture {
  std::shared_ptr<CaptureSession> session;
  CapturePoint point;
};

extern std::atomic<int> active_captures;
inline bool any_capture() { return active_captures.load(std::memory_order_acquire) != 0; }

// Before work is added to `stream`. `*captured`: it goes to capture_work() and not into the stream.
// CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT.
CUresult enter_stream(Stream& stream, bool* captured);
CUresult capture_work(Stream& stream, WorkRef work, CUgraphNode* node = nullptr);
// The same for nodes that depend on where they are; `add` adds one to the graph.
using AddNode = std::function<CUresult(Graph&, std::span<const GraphNode::Edge>, GraphNode**)>;
CUresult capture_node(Stream& stream, const AddNode& add);
CUresult capture_event_record(Stream& stream, const std::shared_ptr<Event>& event, bool external);
// Also where the stream is not captured but the event is: the capture spreads. `*done`: nothing is left to
// do.
CUresult capture_event_wait(const std::shared_ptr<Stream>& stream, const std::shared_ptr<Event>& event,
                            bool external, bool* done);

// For calls that a capture of `stream` forbids: waiting for it, asking how far it is.
CUresult forbid_captured(Stream& stream);
CUresult forbid_captured(Context& context);
// CUDA_ERROR_CAPTURED_EVENT.
CUresult forbid_captured(Event& event);
// For calls that may wait for other streams: by the modes of this thread and of the captures there are.
CUresult forbid_unsafe();
// The calling thread's mode.
CUstreamCaptureMode exchange_capture_mode(CUstreamCaptureMode mode);

// The functions below: callers hold graph_mutex().
// Whether a capture is going on that the legacy stream would be drawn into.
bool captured_beside(const Stream& legacy);
CUresult begin_capture(const std::shared_ptr<Stream>& stream, CUstreamCaptureMode mode,
                       std::shared_ptr<Graph> existing, CapturePoint from);
// A context ends with captures going on in it.
void abandon_captures(const Context& context);
CUresult end_capture(Stream& stream, CUgraph* graph);

}  // namespace tessera::softgpu
