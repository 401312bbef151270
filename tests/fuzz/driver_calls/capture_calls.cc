// Graphs captured from streams.
#include <algorithm>
#include <iterator>

#include "tests/fuzz/driver_calls/world.h"

namespace tessera::fuzz {
namespace {

// Mostly the one in which other calls may go on.
CUstreamCaptureMode mode(World& w) {
  constexpr CUstreamCaptureMode kModes[] = {CU_STREAM_CAPTURE_MODE_RELAXED, CU_STREAM_CAPTURE_MODE_RELAXED,
                                            CU_STREAM_CAPTURE_MODE_RELAXED, CU_STREAM_CAPTURE_MODE_GLOBAL,
                                            CU_STREAM_CAPTURE_MODE_THREAD_LOCAL};
  constexpr CUstreamCaptureMode kWrong[] = {static_cast<CUstreamCaptureMode>(3)};
  return w.bytes.one_of(kModes, kWrong);
}

CUstream not_capturing(World& w) {
  for (int tries = 0; tries < 4; ++tries) {
    const CUstream stream = w.stream();
    if (stream != nullptr && std::find(w.capturing.begin(), w.capturing.end(), stream) == w.capturing.end())
      return stream;
  }
  return w.stream();
}

void begin(World& w) {
  w.captured = true;
  const CUstream stream = not_capturing(w);
  if (CALL(w, cuStreamBeginCapture_v2, stream, mode(w)) == CUDA_SUCCESS) w.capturing.push_back(stream);
}

CUstream capturing(World& w) {
  if (w.bytes.rarely()) return w.stream();
  if (w.capturing.empty()) begin(w);
  return w.capturing.empty() ? w.stream() : w.capturing[w.bytes.byte() % w.capturing.size()];
}

// What is in a captured graph, for the calls that take a graph and its nodes.
void learn(World& w, CUgraph graph) {
  CUgraphNode found[8]{};
  size_t count = std::size(found);
  if (CALL(w, cuGraphGetNodes, graph, found, &count) != CUDA_SUCCESS) return;
  for (size_t i = 0; i < std::min(count, std::size(found)); ++i) {
    w.add(Kind::kNode, found[i]);
    w.nodes[graph].push_back(found[i]);
  }
}

void begin_to_graph(World& w) {
  w.captured = true;
  const CUstream stream = not_capturing(w);
  const auto into = w.get<CUgraph>(Kind::kGraph);
  const auto& inside = w.nodes[into];
  const CUgraphNode after[] = {inside.empty() || w.bytes.rarely() ? w.get<CUgraphNode>(Kind::kNode)
                                                                  : inside.back()};
  const size_t count = inside.empty() ? w.bytes.rarely() : w.bytes.below(2);
  if (CALL(w, cuStreamBeginCaptureToGraph, stream, into, after, nullptr, count, mode(w)) == CUDA_SUCCESS)
    w.capturing.push_back(stream);
}

void end(World& w) {
  CUgraph made = nullptr;
  const CUstream stream = capturing(w);
  const CUresult result = CALL(w, cuStreamEndCapture, stream, &made);
  std::erase(w.capturing, stream);
  if (result != CUDA_SUCCESS) return;
  w.add(Kind::kGraph, made);
  learn(w, made);
}

void ask(World& w) {
  CUstreamCaptureStatus status{};
  cuuint64_t id = 0;
  CUgraph into = nullptr;
  const CUgraphNode* after = nullptr;
  size_t count = 0;
  const CUstream stream = capturing(w);
  CALL(w, cuStreamIsCapturing, stream, &status);
  if (CALL(w, cuStreamGetCaptureInfo_v2, stream, &status, &id, &into, &after, &count) != CUDA_SUCCESS) return;
  if (status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return;
  w.add(Kind::kGraph, into);
  for (size_t i = 0; i < count; ++i) w.add(Kind::kNode, after[i]);
}

void set_dependencies(World& w) {
  const CUstream stream = capturing(w);
  CUstreamCaptureStatus status{};
  cuuint64_t id = 0;
  CUgraph into = nullptr;
  const CUgraphNode* known = nullptr;
  size_t count = 0;
  CALL(w, cuStreamGetCaptureInfo_v2, stream, &status, &id, &into, &known, &count);
  CUgraphNode after[] = {count != 0 ? known[0] : w.get<CUgraphNode>(Kind::kNode)};
  CALL(w, cuStreamUpdateCaptureDependencies, stream, after, count != 0 || w.bytes.rarely(),
       w.bytes.rarely() ? 2 : w.bytes.below(2));
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
