// What stream 0 means. Compiled twice: with the legacy default stream, which orders itself with every
// blocking stream, and with -default-stream per-thread, where it is a stream like any other and a wait on the
// legacy one is by name.
#include <atomic>
#include <thread>

#include "cuda_check.h"

namespace {

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
constexpr bool kPerThread = true;
#else
constexpr bool kPerThread = false;
#endif

__global__ void append(unsigned* log, unsigned* length, unsigned mark) {
  if (threadIdx.x == 0) log[atomicAdd(length, 1u)] = mark;
}

// A host function that holds its stream back until told otherwise.
struct Gate {
  std::atomic<bool> open{false};
  static void CUDART_CB wait(void* gate) {
    while (!static_cast<Gate*>(gate)->open) std::this_thread::yield();
  }
};

struct Log {
  check::DeviceArray<unsigned> marks{64}, length{1};
  Log() {
    marks.fill(0);
    length.fill(0);
    CUDA_CHECK(cudaDeviceSynchronize());
  }
  void add(unsigned mark, cudaStream_t stream) {
    append<<<1, 32, 0, stream>>>(marks.get(), length.get(), mark);
    CUDA_CHECK(cudaGetLastError());
  }
  std::vector<unsigned> read() const {
    CUDA_CHECK(cudaDeviceSynchronize());
    std::vector<unsigned> all = marks.download();
    all.resize(length.download()[0]);
    return all;
  }
};

// A blocking stream is held back. The legacy stream, and any work queued after legacy work, must wait for it.
void check_legacy_orders() {
  Log log;
  Gate gate;
  cudaStream_t blocking, other, non_blocking;
  CUDA_CHECK(cudaStreamCreate(&blocking));
  CUDA_CHECK(cudaStreamCreate(&other));
  CUDA_CHECK(cudaStreamCreateWithFlags(&non_blocking, cudaStreamNonBlocking));
  CUDA_CHECK(cudaLaunchHostFunc(blocking, Gate::wait, &gate));
  log.add(1, blocking);
  log.add(2, cudaStreamLegacy);  // after 1
  log.add(3, other);             // after 2
  log.add(9, non_blocking);      // at once
  CUDA_CHECK(cudaStreamSynchronize(non_blocking));
  CUDA_EXPECT(cudaErrorNotReady, cudaStreamQuery(other));
  gate.open = true;
  check::require_equal(log.read(), {9, 1, 2, 3}, "order with the legacy stream");
  (void)cudaGetLastError();
  CUDA_CHECK(cudaStreamDestroy(blocking));
  CUDA_CHECK(cudaStreamDestroy(other));
  CUDA_CHECK(cudaStreamDestroy(non_blocking));
}

// Stream 0 while another blocking stream is held back: legacy waits for it, per-thread does not.
void check_stream_zero() {
  Log log;
  Gate gate;
  cudaStream_t blocking;
  CUDA_CHECK(cudaStreamCreate(&blocking));
  CUDA_CHECK(cudaLaunchHostFunc(blocking, Gate::wait, &gate));
  log.add(1, blocking);
  log.add(2, nullptr);
  if (kPerThread) {
    CUDA_CHECK(cudaStreamSynchronize(nullptr));
  } else {
    CUDA_EXPECT(cudaErrorNotReady, cudaStreamQuery(nullptr));
  }
  gate.open = true;
  check::require_equal(log.read(), kPerThread ? std::vector<unsigned>{2, 1} : std::vector<unsigned>{1, 2},
                       "order with stream 0");
  (void)cudaGetLastError();
  CUDA_CHECK(cudaStreamDestroy(blocking));
}

// Each thread has a per-thread stream of its own: one held back does not hold the other.
void check_threads_apart() {
  Log log;
  Gate gate;
  CUDA_CHECK(cudaLaunchHostFunc(cudaStreamPerThread, Gate::wait, &gate));
  log.add(1, cudaStreamPerThread);
  std::thread([&] {
    log.add(2, cudaStreamPerThread);
    CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
  }).join();
  gate.open = true;
  CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
  check::require_equal(log.read(), {2, 1}, "order of two threads' streams");
}

}  // namespace

int main() {
  // Loads the kernel now: loading it lazily, behind a stream that is held back, could wait for that stream.
  cudaFuncAttributes attributes;
  CUDA_CHECK(cudaFuncGetAttributes(&attributes, append));
  check_legacy_orders();
  check_stream_zero();
  check_threads_apart();
  return check::pass("stream 0 is %s; order as specified", kPerThread ? "per thread" : "legacy");
}
