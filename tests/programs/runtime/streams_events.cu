// Asynchronous work: pinned copies, waits across streams, event times, host functions and callbacks,
// priorities.
#include <atomic>

#include "cuda_check.h"

namespace {

constexpr unsigned kCount = 8192;
constexpr size_t kBytes = kCount * sizeof(unsigned);

__host__ __device__ inline unsigned advanced(unsigned state, unsigned steps) {
  for (unsigned step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  return state;
}

__global__ void advance(unsigned* states, unsigned steps) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  states[i] = advanced(states[i], steps);
}

__global__ void combine(const unsigned* a, const unsigned* b, unsigned* out) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = a[i] * 31u + b[i];
}

struct PinnedArray {
  PinnedArray() { CUDA_CHECK(cudaMallocHost(&data, kBytes)); }
  ~PinnedArray() { (void)cudaFreeHost(data); }
  unsigned* data = nullptr;
};

struct Notes {
  std::atomic<int> host_functions{0}, callbacks{0};
  unsigned seen = 0;
  cudaError_t callback_status = cudaErrorUnknown;
  const unsigned* results = nullptr;
};

void CUDART_CB note_host_function(void* data) {
  auto* notes = static_cast<Notes*>(data);
  notes->seen = notes->results[0];
  ++notes->host_functions;
}

void CUDART_CB note_callback(cudaStream_t, cudaError_t status, void* data) {
  auto* notes = static_cast<Notes*>(data);
  notes->callback_status = status;
  ++notes->callbacks;
}

void check_pipeline() {
  PinnedArray in_a, in_b, out;
  check::DeviceArray<unsigned> a(kCount), b(kCount), both(kCount);
  for (unsigned i = 0; i < kCount; ++i) {
    in_a.data[i] = i;
    in_b.data[i] = 5 * i + 1;
  }
  Notes notes;
  notes.results = out.data;
  int least = 0, greatest = 0;
  CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  cudaStream_t first, second;
  cudaEvent_t second_done;
  CUDA_CHECK(cudaStreamCreateWithPriority(&first, cudaStreamNonBlocking, greatest));
  CUDA_CHECK(cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking));
  CUDA_CHECK(cudaEventCreateWithFlags(&second_done, cudaEventDisableTiming));

  CUDA_CHECK(cudaMemcpyAsync(a.get(), in_a.data, kBytes, cudaMemcpyHostToDevice, first));
  CUDA_CHECK(cudaMemcpyAsync(b.get(), in_b.data, kBytes, cudaMemcpyHostToDevice, second));
  advance<<<kCount / 128, 128, 0, first>>>(a.get(), 100);
  advance<<<kCount / 128, 128, 0, second>>>(b.get(), 1000);  // the slower one
  CUDA_CHECK(cudaEventRecord(second_done, second));
  CUDA_CHECK(cudaStreamWaitEvent(first, second_done, 0));
  combine<<<kCount / 128, 128, 0, first>>>(a.get(), b.get(), both.get());
  CUDA_CHECK(cudaMemcpyAsync(out.data, both.get(), kBytes, cudaMemcpyDeviceToHost, first));
  CUDA_CHECK(cudaLaunchHostFunc(first, note_host_function, &notes));
  CUDA_CHECK(cudaStreamAddCallback(first, note_callback, &notes, 0));
  CUDA_CHECK(cudaMemsetAsync(both.get(), 0, kBytes, first));
  CUDA_CHECK(cudaStreamSynchronize(first));
  CUDA_CHECK(cudaStreamQuery(first));
  CUDA_CHECK(cudaGetLastError());

  for (unsigned i = 0; i < kCount; ++i) {
    const unsigned want = advanced(i, 100) * 31u + advanced(5 * i + 1, 1000);
    REQUIRE(out.data[i] == want, "combined[%u] is %u, not %u", i, out.data[i], want);
  }
  REQUIRE(notes.host_functions == 1 && notes.callbacks == 1, "%d host functions and %d callbacks ran",
          notes.host_functions.load(), notes.callbacks.load());
  REQUIRE(notes.seen == out.data[0] && notes.callback_status == cudaSuccess, "what the host functions saw");
  check::require_equal(both.download(), std::vector<unsigned>(kCount, 0), "the memset queued last");
  CUDA_CHECK(cudaEventDestroy(second_done));
  CUDA_CHECK(cudaStreamDestroy(first));
  CUDA_CHECK(cudaStreamDestroy(second));
}

float check_times() {
  check::DeviceArray<unsigned> states(kCount);
  states.fill(0);
  cudaEvent_t events[4];
  for (cudaEvent_t& event : events) CUDA_CHECK(cudaEventCreate(&event));
  CUDA_CHECK(cudaEventRecord(events[0]));
  for (int i = 1; i < 4; ++i) {
    advance<<<kCount / 128, 128>>>(states.get(), 200 * i);
    CUDA_CHECK(cudaEventRecord(events[i]));
  }
  CUDA_CHECK(cudaEventSynchronize(events[3]));
  float total = 0, sum = 0;
  CUDA_CHECK(cudaEventElapsedTime(&total, events[0], events[3]));
  for (int i = 1; i < 4; ++i) {
    float part = 0;
    CUDA_CHECK(cudaEventElapsedTime(&part, events[i - 1], events[i]));
    REQUIRE(part > 0, "part %d took %g ms", i, part);
    sum += part;
  }
  REQUIRE(std::fabs(total - sum) <= 0.01f + 0.01f * total, "the parts add up to %g ms, the whole is %g", sum,
          total);
  for (cudaEvent_t& event : events) CUDA_CHECK(cudaEventDestroy(event));
  check::require_equal(states.download(), std::vector<unsigned>(kCount, advanced(0, 1200)), "states");
  return total;
}

// Work held back by a host function is seen as not ready, and as ready once it is let go.
void check_queries() {
  std::atomic<bool> go{false};
  cudaStream_t stream;
  cudaEvent_t event;
  CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  CUDA_CHECK(cudaEventCreate(&event));
  const auto wait = [](void* flag) {
    while (!*static_cast<std::atomic<bool>*>(flag)) {
    }
  };
  CUDA_CHECK(cudaLaunchHostFunc(stream, wait, &go));
  CUDA_CHECK(cudaEventRecord(event, stream));
  CUDA_EXPECT(cudaErrorNotReady, cudaStreamQuery(stream));
  CUDA_EXPECT(cudaErrorNotReady, cudaEventQuery(event));
  go = true;
  CUDA_CHECK(cudaEventSynchronize(event));
  CUDA_CHECK(cudaStreamSynchronize(stream));
  CUDA_CHECK(cudaEventQuery(event));
  (void)cudaGetLastError();  // a query that was not ready may leave its answer behind
  CUDA_CHECK(cudaEventDestroy(event));
  CUDA_CHECK(cudaStreamDestroy(stream));
}

}  // namespace

int main() {
  check_pipeline();
  const float milliseconds = check_times();
  check_queries();
  return check::pass("pipeline over 2 streams, host functions, queries; %.3f ms by events", milliseconds);
}
