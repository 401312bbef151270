// cuda::pipeline: a block that loads tiles ahead of its work, a block split into producers and consumers, and
// a pipeline of each thread's own.
#include <cooperative_groups.h>

#include <cuda/pipeline>
#include <numeric>

#include "cuda_check.h"

namespace {

namespace cg = cooperative_groups;
// make_pipeline() initialises the state that the threads share.
#pragma nv_diag_suppress static_var_with_dynamic_init
constexpr unsigned kThreads = 128;
constexpr unsigned kTiles = 23;
constexpr int kStages = 3;

using State = cuda::pipeline_shared_state<cuda::thread_scope_block, kStages>;

// All threads load and work: tile t is worked on while t + 1 and t + 2 are on their way. Each thread adds its
// neighbour's element, so that a tile has to be whole.
__global__ void unified(const int* from, int* to) {
  __shared__ int tile[kStages][kThreads];
  __shared__ State state;
  const auto block = cg::this_thread_block();
  auto pipe = cuda::make_pipeline(block, &state);
  for (unsigned t = 0, ahead = 0; t < kTiles; ++t) {
    for (; ahead < kTiles && ahead < t + kStages; ++ahead) {
      pipe.producer_acquire();
      cuda::memcpy_async(block, tile[ahead % kStages], from + ahead * kThreads, sizeof(tile[0]), pipe);
      pipe.producer_commit();
    }
    pipe.consumer_wait();
    to[t * kThreads + threadIdx.x] = tile[t % kStages][(threadIdx.x + 1) % kThreads] + 1;
    pipe.consumer_release();
  }
}

// Odd warps produce what even warps consume.
__global__ void split(const int* from, int* to) {
  __shared__ int tile[kStages][kThreads];
  __shared__ State state;
  const auto block = cg::this_thread_block();
  const bool producer = threadIdx.x / 32 % 2 == 1;
  auto pipe = cuda::make_pipeline(block, &state,
                                  producer ? cuda::pipeline_role::producer : cuda::pipeline_role::consumer);
  const unsigned rank = threadIdx.x / 64 * 32 + threadIdx.x % 32;  // among its kind
  for (unsigned t = 0; t < kTiles; ++t) {
    int(&stage)[kThreads] = tile[t % kStages];
    if (producer) {
      pipe.producer_acquire();
      for (unsigned i = rank; i < kThreads; i += kThreads / 2)
        cuda::memcpy_async(&stage[i], from + t * kThreads + i, sizeof(int), pipe);
      pipe.producer_commit();
    } else {
      pipe.consumer_wait();
      for (unsigned i = rank; i < kThreads; i += kThreads / 2)
        to[t * kThreads + i] = stage[(i + 1) % kThreads] + 1;
      pipe.consumer_release();
    }
  }
}

// A pipeline of one thread, which sees only what it copied itself.
__global__ void own(const int* from, int* to) {
  __shared__ int tile[kThreads];
  auto pipe = cuda::make_pipeline();
  for (unsigned t = 0; t < kTiles; ++t) {
    const unsigned neighbour = (threadIdx.x + 1) % kThreads;
    pipe.producer_acquire();
    cuda::memcpy_async(&tile[threadIdx.x], from + t * kThreads + neighbour, sizeof(int), pipe);
    pipe.producer_commit();
    cuda::pipeline_consumer_wait_prior<0>(pipe);
    to[t * kThreads + threadIdx.x] = tile[threadIdx.x] + 1;
    pipe.consumer_release();
  }
}

void check_kernel(void (*kernel)(const int*, int*), const char* what) {
  std::vector<int> data(kTiles * kThreads);
  std::iota(data.begin(), data.end(), 7);
  const check::DeviceArray<int> from(data), to(data.size());
  kernel<<<1, kThreads>>>(from.get(), to.get());
  CUDA_CHECK_KERNEL();
  std::vector<int> want(data.size());
  for (unsigned i = 0; i < want.size(); ++i) want[i] = data[i / kThreads * kThreads + (i + 1) % kThreads] + 1;
  check::require_equal(to.download(), want, what);
}

}  // namespace

int main() {
  check_kernel(unified, "unified");
  check_kernel(split, "producers and consumers");
  check_kernel(own, "a thread's own");
  return check::pass("%u tiles of %u through %d stages, in three ways", kTiles, kThreads, kStages);
}
