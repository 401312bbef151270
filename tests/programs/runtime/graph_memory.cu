// Memory that graphs allocate, by the runtime API: captured and by hand, freed inside, by the program and by
// the next launch; what the device keeps for graphs.
#include "cuda_check.h"

namespace {

constexpr unsigned kCount = 10'000, kBlock = 128;
constexpr size_t kBytes = kCount * sizeof(unsigned);

__global__ void square(const unsigned* in, unsigned* out) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) out[i] = in[i] * in[i];
}
__global__ void add(unsigned* values, const unsigned* terms) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) values[i] += terms[i];
}

size_t graph_memory(cudaGraphMemAttributeType which) {
  uint64_t value = 0;
  CUDA_CHECK(cudaDeviceGetGraphMemAttribute(0, which, &value));
  return value;
}

void require_sums(const std::vector<unsigned>& got, const std::vector<unsigned>& in, unsigned times,
                  const char* what) {
  std::vector<unsigned> want(kCount);
  for (unsigned i = 0; i < kCount; ++i) want[i] = in[i] * in[i] + times * in[i];
  check::require_equal(got, want, what);
}

// Scratch memory of a captured step, also in a forked stream.
void check_captured() {
  const auto in = check::random_integers<unsigned>(kCount, 3);
  check::DeviceArray<unsigned> source(in), result(kCount);
  cudaStream_t first, second;
  cudaEvent_t fork, join;
  CUDA_CHECK(cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking));
  CUDA_CHECK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
  CUDA_CHECK(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
  CUDA_CHECK(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
  unsigned *squares, *terms;
  const unsigned grid = check::blocks_for(kCount, kBlock);
  CUDA_CHECK(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal));
  CUDA_CHECK(cudaMallocAsync(&squares, kBytes, first));
  CUDA_CHECK(cudaEventRecord(fork, first));
  CUDA_CHECK(cudaStreamWaitEvent(second, fork, 0));
  CUDA_CHECK(cudaMallocAsync(&terms, kBytes, second));
  CUDA_CHECK(cudaMemcpyAsync(terms, source.get(), kBytes, cudaMemcpyDeviceToDevice, second));
  square<<<grid, kBlock, 0, first>>>(source.get(), squares);
  CUDA_CHECK(cudaEventRecord(join, second));
  CUDA_CHECK(cudaStreamWaitEvent(first, join, 0));
  add<<<grid, kBlock, 0, first>>>(squares, terms);
  CUDA_CHECK(cudaMemcpyAsync(result.get(), squares, kBytes, cudaMemcpyDeviceToDevice, first));
  CUDA_CHECK(cudaFreeAsync(squares, first));
  CUDA_CHECK(cudaFreeAsync(terms, first));
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaStreamEndCapture(first, &graph));
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  REQUIRE(graph_memory(cudaGraphMemAttrReservedMemCurrent) == 0, "reserved before the first launch");
  CUDA_CHECK(cudaGraphUpload(exec, first));
  REQUIRE(graph_memory(cudaGraphMemAttrUsedMemCurrent) >= 2 * kBytes, "%zu bytes after the upload",
          graph_memory(cudaGraphMemAttrUsedMemCurrent));
  for (int i = 0; i < 3; ++i) {
    result.fill(0);
    CUDA_CHECK(cudaDeviceSynchronize());
    CUDA_CHECK(cudaGraphLaunch(exec, first));
    CUDA_CHECK(cudaStreamSynchronize(first));
    require_sums(result.download(), in, 1, "captured");
  }
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
  CUDA_CHECK(cudaDeviceGraphMemTrim(0));
  REQUIRE(graph_memory(cudaGraphMemAttrReservedMemCurrent) == 0, "%zu bytes are still reserved",
          graph_memory(cudaGraphMemAttrReservedMemCurrent));
  REQUIRE(graph_memory(cudaGraphMemAttrReservedMemHigh) >= 2 * kBytes, "the mark is too low");
  CUDA_CHECK(cudaEventDestroy(fork));
  CUDA_CHECK(cudaEventDestroy(join));
  CUDA_CHECK(cudaStreamDestroy(first));
  CUDA_CHECK(cudaStreamDestroy(second));
}

// One node allocates, and the program works in that memory after the launch.
void check_left_allocated() {
  const auto in = check::random_integers<unsigned>(kCount, 5);
  check::DeviceArray<unsigned> source(in);
  cudaGraph_t graph;
  CUDA_CHECK(cudaGraphCreate(&graph, 0));
  cudaMemAllocNodeParams params{};
  params.poolProps.allocType = cudaMemAllocationTypePinned;
  params.poolProps.location.type = cudaMemLocationTypeDevice;
  params.poolProps.location.id = 0;
  params.bytesize = kBytes;
  cudaGraphNode_t alloc, kernel;
  CUDA_CHECK(cudaGraphAddMemAllocNode(&alloc, graph, nullptr, 0, &params));
  auto* values = static_cast<unsigned*>(params.dptr);
  const unsigned* from = source.get();
  void* arguments[] = {&from, &values};
  cudaKernelNodeParams square_params{};
  square_params.func = reinterpret_cast<void*>(square);
  square_params.gridDim = dim3(check::blocks_for(kCount, kBlock));
  square_params.blockDim = dim3(kBlock);
  square_params.kernelParams = arguments;
  CUDA_CHECK(cudaGraphAddKernelNode(&kernel, graph, &alloc, 1, &square_params));
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  for (unsigned times = 1; times < 3; ++times) {
    CUDA_CHECK(cudaGraphLaunch(exec, nullptr));
    for (unsigned i = 0; i < times; ++i) {
      add<<<check::blocks_for(kCount, kBlock), kBlock>>>(values, source.get());
    }
    CUDA_CHECK_KERNEL();
    std::vector<unsigned> got(kCount);
    CUDA_CHECK(cudaMemcpy(got.data(), values, kBytes, cudaMemcpyDeviceToHost));
    require_sums(got, in, times, "left allocated");
    CUDA_EXPECT(cudaErrorInvalidValue, cudaGraphLaunch(exec, nullptr));
    (void)cudaGetLastError();  // what the next kernel's check would see
    CUDA_CHECK(cudaFree(values));
  }
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, cudaGraphInstantiateFlagAutoFreeOnLaunch));
  for (int i = 0; i < 3; ++i) CUDA_CHECK(cudaGraphLaunch(exec, nullptr));
  // The memory outlives the graph that allocated it.
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
  std::vector<unsigned> got(kCount);
  CUDA_CHECK(cudaMemcpy(got.data(), values, kBytes, cudaMemcpyDeviceToHost));
  require_sums(got, in, 0, "after its graph");
  CUDA_CHECK(cudaFreeAsync(values, nullptr));
  CUDA_CHECK(cudaDeviceSynchronize());
  CUDA_CHECK(cudaDeviceGraphMemTrim(0));
  REQUIRE(graph_memory(cudaGraphMemAttrReservedMemCurrent) == 0, "still reserved");
}

}  // namespace

int main() {
  check_captured();
  check_left_allocated();
  return check::pass("captured with a fork, left allocated, freed by the next launch");
}
