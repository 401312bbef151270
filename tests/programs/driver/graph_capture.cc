// Graphs captured from streams: a fork and a join by events, nested launches, changes to what a capture goes
// on from; and what a capture forbids, by CUDA's own errors.
#include <atomic>
#include <thread>

#include "driver_check.h"

extern "C" const char streams_ptx[];

namespace {

constexpr uint32_t kCount = 2048, kSteps = 50;
constexpr size_t kBytes = kCount * sizeof(uint32_t);

uint32_t advanced(uint32_t state, uint32_t steps) {
  for (uint32_t step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  return state;
}

class Stream {
 public:
  explicit Stream(unsigned flags = CU_STREAM_NON_BLOCKING) { CU_CHECK(cuStreamCreate(&stream_, flags)); }
  ~Stream() { (void)cuStreamDestroy_v2(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  CUstream get() const { return stream_; }
  void begin(CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL) const {
    CU_CHECK(cuStreamBeginCapture_v2(stream_, mode));
  }
  CUgraph end() const {
    CUgraph graph = nullptr;
    CU_CHECK(cuStreamEndCapture(stream_, &graph));
    return graph;
  }
  // The capture must have failed with this error.
  void end_with(CUresult expected) const {
    CUgraph graph = reinterpret_cast<CUgraph>(stream_);
    const CUresult result = cuStreamEndCapture(stream_, &graph);
    REQUIRE(result == expected && graph == nullptr, "the capture ended with %s, not %s", cu_name(result),
            cu_name(expected));
    REQUIRE(status() == CU_STREAM_CAPTURE_STATUS_NONE, "the stream is still captured");
  }
  CUstreamCaptureStatus status() const {
    CUstreamCaptureStatus status;
    CU_CHECK(cuStreamIsCapturing(stream_, &status));
    return status;
  }

 private:
  CUstream stream_ = nullptr;
};

class Event {
 public:
  Event() { CU_CHECK(cuEventCreate(&event_, CU_EVENT_DISABLE_TIMING)); }
  ~Event() { (void)cuEventDestroy_v2(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  CUevent get() const { return event_; }
  void record(const Stream& stream) const { CU_CHECK(cuEventRecord(event_, stream.get())); }
  void wait_in(const Stream& stream) const { CU_CHECK(cuStreamWaitEvent(stream.get(), event_, 0)); }

 private:
  CUevent event_ = nullptr;
};

size_t node_count(CUgraph graph) {
  size_t count = 0;
  CU_CHECK(cuGraphGetNodes(graph, nullptr, &count));
  return count;
}

void run(CUgraph graph, const Stream& stream, int times) {
  CUgraphExec exec = nullptr;
  CU_CHECK(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (int i = 0; i < times; ++i) CU_CHECK(cuGraphLaunch(exec, stream.get()));
  CU_CHECK(cuGraphExecDestroy(exec));  // launches go on
  CU_CHECK(cuStreamSynchronize(stream.get()));
  CU_CHECK(cuGraphDestroy(graph));
}

struct Work {
  CUfunction advance, combine;
  check::DeviceArray<uint32_t> a{kCount}, b{kCount}, out{kCount};
  std::vector<uint32_t> results = std::vector<uint32_t>(kCount);
  std::atomic<int> calls{0};

  explicit Work(const check::Module& module)
      : advance(module.function("advance")), combine(module.function("combine")) {}
  void launch_advance(const Stream& stream, CUdeviceptr array, uint32_t steps) const {
    check::launch(advance, {kCount / 128}, {128}, stream.get(), array, kCount, steps);
  }
};
void count_call(void* calls) { ++*static_cast<std::atomic<int>*>(calls); }

// What streams would do, done by a graph, three times over.
void check_fork_and_join(Work& work) {
  const Stream first, second;
  const Event fork, join;
  CU_CHECK(cuMemsetD32_v2(work.a.get(), 77, kCount));
  first.begin();
  CU_CHECK(cuMemsetD32Async(work.a.get(), 3, kCount, first.get()));
  fork.record(first);
  fork.wait_in(second);
  REQUIRE(second.status() == CU_STREAM_CAPTURE_STATUS_ACTIVE, "the fork is not captured");
  CU_CHECK(cuMemsetD32Async(work.b.get(), 4, kCount, second.get()));
  work.launch_advance(second, work.b.get(), kSteps);
  work.launch_advance(first, work.a.get(), kSteps);
  join.record(second);
  join.wait_in(first);
  check::launch(work.combine, {kCount / 128}, {128}, first.get(), work.a.get(), work.b.get(), work.out.get(),
                kCount);
  CU_CHECK(cuMemcpyDtoHAsync_v2(work.results.data(), work.out.get(), kBytes, first.get()));
  CU_CHECK(cuLaunchHostFunc(first.get(), count_call, &work.calls));
  CUgraph graph = first.end();
  REQUIRE(second.status() == CU_STREAM_CAPTURE_STATUS_NONE, "the fork outlives the capture");
  REQUIRE(node_count(graph) == 7, "%zu nodes", node_count(graph));
  REQUIRE(work.a.download() == std::vector<uint32_t>(kCount, 77), "captured work ran");
  run(graph, first, 3);
  const uint32_t want = advanced(3, kSteps) * 31u + advanced(4, kSteps);
  check::require_equal(work.results, std::vector<uint32_t>(kCount, want), "fork and join");
  REQUIRE(work.calls == 3, "%d calls of the host function", work.calls.load());
}

// A launch of a graph in a capture is a child graph; dependencies can be changed by hand; a capture can go on
// in a graph that exists.
void check_nested_and_changed(Work& work) {
  const Stream stream;
  stream.begin();
  work.launch_advance(stream, work.a.get(), 2);
  const CUgraph inner = stream.end();
  CUgraphExec inner_exec = nullptr;
  CU_CHECK(cuGraphInstantiateWithFlags(&inner_exec, inner, 0));

  CUgraph graph = nullptr;
  CUgraphNode begin = nullptr;
  CU_CHECK(cuGraphCreate(&graph, 0));
  const CUDA_MEMSET_NODE_PARAMS set{work.a.get(), 0, 5, 4, kCount, 1};
  CU_CHECK(cuGraphAddMemsetNode(&begin, graph, nullptr, 0, &set, nullptr));
  CU_CHECK(cuStreamBeginCaptureToGraph(stream.get(), graph, &begin, nullptr, 1,
                                       CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
  CU_CHECK(cuGraphLaunch(inner_exec, stream.get()));
  CUstreamCaptureStatus status;
  cuuint64_t id = 0;
  CUgraph captured_into = nullptr;
  const CUgraphNode* nodes = nullptr;
  size_t count = 0;
  CU_CHECK(cuStreamGetCaptureInfo_v2(stream.get(), &status, &id, &captured_into, &nodes, &count));
  REQUIRE(status == CU_STREAM_CAPTURE_STATUS_ACTIVE && id != 0 && captured_into == graph && count == 1,
          "capture info: status %u, %zu dependencies", status, count);
  CUgraphNode child = nodes[0], empty = nullptr;
  CUgraphNodeType type;
  CU_CHECK(cuGraphNodeGetType(child, &type));
  REQUIRE(type == CU_GRAPH_NODE_TYPE_GRAPH, "node type %u", type);
  CU_CHECK(cuGraphAddEmptyNode(&empty, graph, &child, 1));
  CU_CHECK(cuStreamUpdateCaptureDependencies(stream.get(), &empty, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
  work.launch_advance(stream, work.a.get(), 3);
  REQUIRE(stream.end() == graph, "the capture made a graph of its own");
  REQUIRE(node_count(graph) == 4, "%zu nodes", node_count(graph));
  run(graph, stream, 2);
  check::require_equal(work.a.download(), std::vector<uint32_t>(kCount, advanced(5, 5)), "nested launches");
  CU_CHECK(cuGraphExecDestroy(inner_exec));
  CU_CHECK(cuGraphDestroy(inner));
}

void check_streams_that_misuse(Work& work) {
  const Stream stream, other, blocking(CU_STREAM_DEFAULT);
  const Event event, outside;
  CUgraph graph = nullptr;
  CU_EXPECT(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(stream.get(), &graph));
  CU_EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
            cuStreamBeginCapture_v2(nullptr, CU_STREAM_CAPTURE_MODE_GLOBAL));

  stream.begin();
  CU_EXPECT(CUDA_ERROR_ILLEGAL_STATE, cuStreamBeginCapture_v2(stream.get(), CU_STREAM_CAPTURE_MODE_GLOBAL));
  CU_EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamSynchronize(stream.get()));
  REQUIRE(stream.status() == CU_STREAM_CAPTURE_STATUS_INVALIDATED, "the capture is still valid");
  CU_EXPECT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuMemsetD32Async(work.a.get(), 1, kCount, stream.get()));
  stream.end_with(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

  stream.begin();  // a fork that is never joined
  event.record(stream);
  event.wait_in(other);
  work.launch_advance(other, work.a.get(), 1);
  stream.end_with(CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
  CU_EXPECT(CUDA_ERROR_CAPTURED_EVENT, cuEventQuery(event.get()));

  stream.begin();  // ended in another stream than it began
  event.record(stream);
  event.wait_in(other);
  CU_EXPECT(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture(other.get(), &graph));
  stream.end_with(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

  stream.begin();  // two captures that would become one
  other.begin();
  event.record(other);
  CU_EXPECT(CUDA_ERROR_STREAM_CAPTURE_MERGE, cuStreamWaitEvent(stream.get(), event.get(), 0));
  stream.end_with(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  other.end_with(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

  outside.record(other);  // work outside of the capture
  stream.begin();
  CU_EXPECT(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, cuStreamWaitEvent(stream.get(), outside.get(), 0));
  stream.end_with(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

  blocking.begin(CU_STREAM_CAPTURE_MODE_RELAXED);  // the legacy stream waits for every blocking one
  CU_EXPECT(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, cuMemsetD32Async(work.a.get(), 1, kCount, nullptr));
  blocking.end_with(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  stream.begin(CU_STREAM_CAPTURE_MODE_RELAXED);  // but for no other
  CU_CHECK(cuMemsetD32Async(work.a.get(), 1, kCount, nullptr));
  CU_CHECK(cuGraphDestroy(stream.end()));
}

// What may wait for other streams is forbidden by the modes of the thread and of the capture.
void check_modes() {
  const Stream stream;
  CUdeviceptr memory = 0;
  for (const CUstreamCaptureMode mode :
       {CU_STREAM_CAPTURE_MODE_GLOBAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, CU_STREAM_CAPTURE_MODE_RELAXED}) {
    stream.begin(mode);
    CUresult here = CUDA_SUCCESS, there = CUDA_SUCCESS;
    std::thread([&] {
      CUcontext context = nullptr;
      CU_CHECK(cuDevicePrimaryCtxRetain(&context, 0));
      CU_CHECK(cuCtxSetCurrent(context));
      there = cuMemAlloc_v2(&memory, 64);
      if (there == CUDA_SUCCESS) CU_CHECK(cuMemFree_v2(memory));
      CUgraph graph = nullptr;
      if (mode != CU_STREAM_CAPTURE_MODE_RELAXED) {
        CU_EXPECT(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, cuStreamEndCapture(stream.get(), &graph));
      }
      CU_CHECK(cuDevicePrimaryCtxRelease_v2(0));
    }).join();
    const bool valid_so_far = stream.status() == CU_STREAM_CAPTURE_STATUS_ACTIVE;
    here = cuMemAlloc_v2(&memory, 64);
    if (here == CUDA_SUCCESS) CU_CHECK(cuMemFree_v2(memory));
    const bool global = mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    const bool relaxed = mode == CU_STREAM_CAPTURE_MODE_RELAXED;
    REQUIRE(
        there == (global ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS) && valid_so_far != global,
        "mode %u, another thread: %s", mode, cu_name(there));
    REQUIRE(here == (relaxed ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED),
            "mode %u, this thread: %s", mode, cu_name(here));
    if (relaxed) {
      CU_CHECK(cuGraphDestroy(stream.end()));
    } else {
      stream.end_with(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    }
  }
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;  // this thread answers for itself
  CU_CHECK(cuThreadExchangeStreamCaptureMode(&mode));
  REQUIRE(mode == CU_STREAM_CAPTURE_MODE_GLOBAL, "the thread's mode was %u", mode);
  stream.begin();
  CU_CHECK(cuMemAlloc_v2(&memory, 64));
  CU_CHECK(cuMemFree_v2(memory));
  CU_CHECK(cuGraphDestroy(stream.end()));
  CU_CHECK(cuThreadExchangeStreamCaptureMode(&mode));
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(streams_ptx);
  Work work(module);
  check_fork_and_join(work);
  check_nested_and_changed(work);
  check_streams_that_misuse(work);
  check_modes();
  return check::pass("fork and join, nested captures, 9 errors, 3 modes");
}
