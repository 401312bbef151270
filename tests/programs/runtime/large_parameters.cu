// Kernel parameters of up to 32,764 bytes: by value, beside others, by cudaLaunchKernel and in a graph.
#include <cstdint>

#include "cuda_check.h"

namespace {

constexpr size_t kMost = 32764;  // CUDA C++ Programming Guide, for compute capability 7.0 and later
constexpr int kWords = static_cast<int>(kMost / sizeof(uint32_t)) - 3;

struct Words {
  uint32_t values[kWords];
};

// 8 bytes of pointer and 4 of factor beside the words: exactly as much as may be.
__global__ void scale(uint32_t* out, const Words words, uint32_t factor) {
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < kWords;
       i += static_cast<int>(gridDim.x * blockDim.x)) {
    out[i] = words.values[i] * factor;
  }
}

static_assert(sizeof(uint32_t*) + sizeof(Words) + sizeof(uint32_t) == kMost);

// The address of a parameter.
__device__ __noinline__ uint32_t sum(const Words* words) {
  uint32_t total = 0;
  for (int i = 0; i < kWords; ++i) total += words->values[i];
  return total;
}
__global__ void total(uint32_t* out, const __grid_constant__ Words words) { *out = sum(&words); }

}  // namespace

int main() {
  Words words;
  std::vector<uint32_t> want(kWords);
  uint32_t sum = 0;
  for (int i = 0; i < kWords; ++i) {
    words.values[i] = static_cast<uint32_t>(i) * 2654435761u;
    want[i] = words.values[i] * 3;
    sum += words.values[i];
  }
  check::DeviceArray<uint32_t> out(kWords), all(1);
  scale<<<7, 96>>>(out.get(), words, 3);
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), want, "words by value");

  total<<<1, 1>>>(all.get(), words);
  CUDA_CHECK_KERNEL();
  REQUIRE(all.download()[0] == sum, "a total of %u, not %u", all.download()[0], sum);

  // The graph keeps the words it was captured with.
  out.fill(0);
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaStreamCreate(&stream));
  CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  scale<<<2, 64, 0, stream>>>(out.get(), words, 3);
  CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
  words = {};
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  CUDA_CHECK(cudaGraphLaunch(exec, stream));
  CUDA_CHECK(cudaStreamSynchronize(stream));
  check::require_equal(out.download(), want, "words in a graph");
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
  CUDA_CHECK(cudaStreamDestroy(stream));
  return check::pass("%zu bytes of parameters: exact", kMost);
}
