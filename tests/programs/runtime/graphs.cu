// Graphs by the runtime API: captured with a fork and a join, built by hand, updated as a whole and node by
// node.
#include <atomic>

#include "cuda_check.h"

namespace {

constexpr unsigned kCount = 4096, kBlock = 128;

__global__ void scale_add(unsigned* values, unsigned factor, unsigned term) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) values[i] = values[i] * factor + term;
}
__global__ void sum_of(const unsigned* a, const unsigned* b, unsigned* out) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) out[i] = a[i] + b[i];
}

void count_call(void* calls) { ++*static_cast<std::atomic<int>*>(calls); }

struct Buffers {
  check::DeviceArray<unsigned> a{kCount}, b{kCount}, out{kCount};
  std::vector<unsigned> in = check::random_integers<unsigned>(kCount, 11),
                        results = std::vector<unsigned>(kCount);
  std::atomic<int> calls{0};

  void require(unsigned factor_a, unsigned factor_b, const char* what) const {
    std::vector<unsigned> want(kCount);
    for (unsigned i = 0; i < kCount; ++i) want[i] = in[i] * factor_a + 1 + in[i] * factor_b + 2;
    check::require_equal(results, want, what);
  }
};

// The whole work of one step, forked to a second stream and joined again.
cudaGraph_t capture(Buffers& buffers, unsigned factor_a, unsigned factor_b) {
  cudaStream_t first, second;
  cudaEvent_t fork, join;
  CUDA_CHECK(cudaStreamCreate(&first));
  CUDA_CHECK(cudaStreamCreate(&second));
  CUDA_CHECK(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
  CUDA_CHECK(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
  CUDA_CHECK(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal));
  CUDA_CHECK(cudaEventRecord(fork, first));
  CUDA_CHECK(cudaStreamWaitEvent(second, fork, 0));
  CUDA_CHECK(
      cudaMemcpyAsync(buffers.a.get(), buffers.in.data(), buffers.a.bytes(), cudaMemcpyHostToDevice, first));
  CUDA_CHECK(
      cudaMemcpyAsync(buffers.b.get(), buffers.in.data(), buffers.b.bytes(), cudaMemcpyHostToDevice, second));
  scale_add<<<kCount / kBlock, kBlock, 0, first>>>(buffers.a.get(), factor_a, 1);
  scale_add<<<kCount / kBlock, kBlock, 0, second>>>(buffers.b.get(), factor_b, 2);
  CUDA_CHECK(cudaEventRecord(join, second));
  CUDA_CHECK(cudaStreamWaitEvent(first, join, 0));
  sum_of<<<kCount / kBlock, kBlock, 0, first>>>(buffers.a.get(), buffers.b.get(), buffers.out.get());
  CUDA_CHECK(cudaMemcpyAsync(buffers.results.data(), buffers.out.get(), buffers.out.bytes(),
                             cudaMemcpyDeviceToHost, first));
  CUDA_CHECK(cudaLaunchHostFunc(first, count_call, &buffers.calls));
  cudaGraph_t graph;
  CUDA_CHECK(cudaStreamEndCapture(first, &graph));
  CUDA_CHECK(cudaEventDestroy(fork));
  CUDA_CHECK(cudaEventDestroy(join));
  CUDA_CHECK(cudaStreamDestroy(first));
  CUDA_CHECK(cudaStreamDestroy(second));
  return graph;
}

void launch(cudaGraphExec_t exec) {
  CUDA_CHECK(cudaGraphLaunch(exec, nullptr));
  CUDA_CHECK(cudaStreamSynchronize(nullptr));
}

void check_captured() {
  Buffers buffers;
  const cudaGraph_t graph = capture(buffers, 3, 5), other = capture(buffers, 7, 9);
  size_t nodes = 0;
  CUDA_CHECK(cudaGraphGetNodes(graph, nullptr, &nodes));
  REQUIRE(nodes == 7 && buffers.calls == 0, "%zu nodes, %d calls", nodes, buffers.calls.load());
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  launch(exec);
  buffers.require(3, 5, "first graph");
  cudaGraphExecUpdateResultInfo info;
  CUDA_CHECK(cudaGraphExecUpdate(exec, other, &info));
  launch(exec);
  buffers.require(7, 9, "updated graph");
  REQUIRE(buffers.calls == 2, "%d calls of the host function", buffers.calls.load());
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
  CUDA_CHECK(cudaGraphDestroy(other));
}

// copy in → kernel → copy out, by hand; the kernel's parameters change between launches.
void check_by_hand() {
  Buffers buffers;
  cudaGraph_t graph;
  cudaGraphNode_t copy_in, kernel, copy_out;
  CUDA_CHECK(cudaGraphCreate(&graph, 0));
  CUDA_CHECK(cudaGraphAddMemcpyNode1D(&copy_in, graph, nullptr, 0, buffers.a.get(), buffers.in.data(),
                                      buffers.a.bytes(), cudaMemcpyHostToDevice));
  unsigned* values = buffers.a.get();
  unsigned factor = 2, term = 40;
  void* arguments[] = {&values, &factor, &term};
  cudaKernelNodeParams params{};
  params.func = reinterpret_cast<void*>(scale_add);
  params.gridDim = dim3(kCount / kBlock);
  params.blockDim = dim3(kBlock);
  params.kernelParams = arguments;
  CUDA_CHECK(cudaGraphAddKernelNode(&kernel, graph, &copy_in, 1, &params));
  CUDA_CHECK(cudaGraphAddMemcpyNode1D(&copy_out, graph, &kernel, 1, buffers.results.data(), buffers.a.get(),
                                      buffers.a.bytes(), cudaMemcpyDeviceToHost));
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  for (factor = 2; factor < 6; ++factor) {
    CUDA_CHECK(cudaGraphExecKernelNodeSetParams(exec, kernel, &params));
    launch(exec);
    for (unsigned i = 0; i < kCount; ++i) {
      const unsigned want = buffers.in[i] * factor + 40;
      REQUIRE(buffers.results[i] == want, "factor %u: [%u] is %u, not %u", factor, i, buffers.results[i],
              want);
    }
  }
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
}

void check_errors() {
  cudaStream_t stream;
  cudaGraph_t graph;
  void* memory = nullptr;
  CUDA_CHECK(cudaStreamCreate(&stream));
  CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  CUDA_EXPECT(cudaErrorStreamCaptureUnsupported, cudaMalloc(&memory, 64));
  CUDA_EXPECT(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(stream, &graph));
  CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  check::DeviceArray<unsigned> array(16);  // a relaxed capture forbids nothing of that kind
  CUDA_EXPECT(cudaErrorStreamCaptureImplicit,
              cudaMemsetAsync(array.get(), 0, array.bytes(), cudaStreamLegacy));
  CUDA_EXPECT(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(stream, &graph));
  CUDA_CHECK(cudaStreamDestroy(stream));
  (void)cudaGetLastError();
}

}  // namespace

int main() {
  check_captured();
  check_by_hand();
  check_errors();
  return check::pass("a captured graph of 7 nodes updated, a graph by hand launched 4 times");
}
