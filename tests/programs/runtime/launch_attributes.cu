// Attributes of launches that do not change results: overlap with the kernel before, events at the launch's
// completion and at the kernel's own word, priorities; kernels that wait for what came before them.
#include "cuda_check.h"

namespace {

constexpr unsigned kCount = 4096;

__global__ void produce(int* data, int value) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
  data[i] = static_cast<int>(i) * value;
}

// May begin early, and therefore waits before it reads.
__global__ void consume(const int* from, int* to) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
#if __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
  to[i] = from[kCount - 1 - i] + 1;
}

cudaLaunchConfig_t config_of(cudaStream_t stream, cudaLaunchAttribute* attribute) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(kCount / 128);
  config.blockDim = dim3(128);
  config.stream = stream;
  config.attrs = attribute;
  config.numAttrs = 1;
  return config;
}

void check_overlap(cudaStream_t stream) {
  const check::DeviceArray<int> from(kCount), to(kCount);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  const cudaLaunchConfig_t config = config_of(stream, &attribute);
  for (int round = 1; round < 5; ++round) {
    CUDA_CHECK(cudaLaunchKernelEx(&config, produce, from.get(), round));
    CUDA_CHECK(cudaLaunchKernelEx(&config, consume, static_cast<const int*>(from.get()), to.get()));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    const std::vector<int> got = to.download();
    for (unsigned i = 0; i < kCount; ++i) {
      const int want = static_cast<int>(kCount - 1 - i) * round + 1;
      REQUIRE(got[i] == want, "round %d: element %u is %d, not %d", round, i, got[i], want);
    }
  }
}

// Another stream goes on when the event says so; what the kernel wrote is there once it has ended.
void check_events(cudaStream_t stream) {
  const check::DeviceArray<int> data(kCount);
  cudaEvent_t event;
  CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  for (const bool programmatic : {false, true}) {
    cudaLaunchAttribute attribute{};
    if (programmatic) {
      attribute.id = cudaLaunchAttributeProgrammaticEvent;
      attribute.val.programmaticEvent.event = event;
      attribute.val.programmaticEvent.triggerAtBlockStart = 1;
    } else {
      attribute.id = cudaLaunchAttributeLaunchCompletionEvent;
      attribute.val.launchCompletionEvent.event = event;
    }
    const cudaLaunchConfig_t config = config_of(stream, &attribute);
    CUDA_CHECK(cudaLaunchKernelEx(&config, produce, data.get(), programmatic ? 3 : 2));
    CUDA_CHECK(cudaEventSynchronize(event));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    CUDA_CHECK(cudaEventQuery(event));
    REQUIRE(data.download()[100] == (programmatic ? 300 : 200), "the kernel before the event");
  }
  CUDA_CHECK(cudaEventDestroy(event));
}

}  // namespace

int main() {
  cudaStream_t stream;
  CUDA_CHECK(cudaStreamCreate(&stream));
  check_overlap(stream);
  check_events(stream);
  CUDA_CHECK(cudaStreamDestroy(stream));
  return check::pass("overlap with the kernel before, events of launches");
}
