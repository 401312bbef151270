// Graphs captured from streams.
#include <iterator>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

CUstreamCaptureMode mode(World& w) { return static_cast<CUstreamCaptureMode>(w.bytes.below(4)); }

void begin(World& w) {
  w.captured = true;
  CALL(w, cuStreamBeginCapture_v2, w.stream(), mode(w));
}

void begin_to_graph(World& w) {
  w.captured = true;
  const CUgraphNode after[] = {w.get<CUgraphNode>(Kind::kNode)};
  CALL(w, cuStreamBeginCaptureToGraph, w.stream(), w.get<CUgraph>(Kind::kGraph), after, nullptr,
       w.bytes.below(2), mode(w));
}

void end(World& w) {
  CUgraph made = nullptr;
  if (CALL(w, cuStreamEndCapture, w.stream(), &made) == CUDA_SUCCESS) w.add(Kind::kGraph, made);
}

void ask(World& w) {
  CUstreamCaptureStatus status{};
  cuuint64_t id = 0;
  CUgraph into = nullptr;
  const CUgraphNode* after = nullptr;
  size_t count = 0;
  CALL(w, cuStreamIsCapturing, w.stream(), &status);
  if (CALL(w, cuStreamGetCaptureInfo_v2, w.stream(), &status, &id, &into, &after, &count) != CUDA_SUCCESS)
    return;
  if (status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return;
  w.add(Kind::kGraph, into);
  for (size_t i = 0; i < count; ++i) w.add(Kind::kNode, after[i]);
}

void set_dependencies(World& w) {
  CUgraphNode after[] = {w.get<CUgraphNode>(Kind::kNode), w.get<CUgraphNode>(Kind::kNode)};
  CALL(w, cuStreamUpdateCaptureDependencies, w.stream(), after, w.bytes.below(3), w.bytes.below(3));
}

void exchange_mode(World& w) {
  CUstreamCaptureMode own = mode(w);
  CALL(w, cuThreadExchangeStreamCaptureMode, &own);
}

}  // namespace

std::span<const Call> capture_calls() {
  static constexpr Call kCalls[] = {begin, begin, begin_to_graph,   end,          end,
                                    end,   ask,   set_dependencies, exchange_mode};
  return kCalls;
}

}  // namespace tessera::fuzz
