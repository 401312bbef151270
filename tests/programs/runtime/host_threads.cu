// Several host threads on one device, each with its streams and memory, at the same time; errors stay in
// their thread.
#include <thread>

#include "cuda_check.h"

namespace {

constexpr int kThreads = 6, kRounds = 12, kCount = 8192;

__global__ void mix(unsigned* values, unsigned seed) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned value = values[i];
  for (int round = 0; round < 8; ++round) value = (value ^ seed) * 2654435761u + (value >> 15);
  values[i] = value;
}

unsigned host_mix(unsigned value, unsigned seed) {
  for (int round = 0; round < 8; ++round) value = (value ^ seed) * 2654435761u + (value >> 15);
  return value;
}

void work(unsigned thread) {
  cudaStream_t streams[2];
  for (cudaStream_t& stream : streams) CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  std::vector<unsigned> values(kCount);
  for (unsigned i = 0; i < kCount; ++i) values[i] = i * (thread + 1);
  check::DeviceArray<unsigned> a(values), b(values);
  CUDA_CHECK(cudaDeviceSynchronize());  // the uploads went through stream 0
  for (unsigned round = 0; round < kRounds; ++round) {
    mix<<<kCount / 256, 256, 0, streams[0]>>>(a.get(), thread * 100 + round);
    mix<<<kCount / 128, 128, 0, streams[1]>>>(b.get(), thread * 200 + round);
    CUDA_CHECK(cudaGetLastError());
    void* passing = nullptr;  // allocation and release between launches
    CUDA_CHECK(cudaMalloc(&passing, 4096 * (round + 1)));
    CUDA_CHECK(cudaFree(passing));
  }
  for (cudaStream_t stream : streams) CUDA_CHECK(cudaStreamSynchronize(stream));
  std::vector<unsigned> want_a = values, want_b = values;
  for (unsigned round = 0; round < kRounds; ++round) {
    for (unsigned i = 0; i < kCount; ++i) {
      want_a[i] = host_mix(want_a[i], thread * 100 + round);
      want_b[i] = host_mix(want_b[i], thread * 200 + round);
    }
  }
  check::require_equal(a.download(), want_a, "first stream");
  check::require_equal(b.download(), want_b, "second stream");
  for (cudaStream_t stream : streams) CUDA_CHECK(cudaStreamDestroy(stream));
}

// The last error belongs to the thread that made it.
void check_errors_apart() {
  CUDA_EXPECT(cudaErrorInvalidValue, cudaMemcpy(nullptr, nullptr, 16, cudaMemcpyHostToDevice));
  std::thread([] { CUDA_EXPECT(cudaSuccess, cudaGetLastError()); }).join();
  CUDA_EXPECT(cudaErrorInvalidValue, cudaGetLastError());
}

}  // namespace

int main() {
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < kThreads; ++thread) threads.emplace_back(work, thread);
  for (std::thread& thread : threads) thread.join();
  check_errors_apart();
  return check::pass("%d threads, 2 streams each, %d rounds: exact", kThreads, kRounds);
}
