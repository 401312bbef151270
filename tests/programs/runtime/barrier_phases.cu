// cuda::barrier in shared memory, through many phases: all threads together, arrivals apart from waits,
// threads that leave, warps that hand work to each other, and the completion of a barrier that is no hardware
// one.
#include <cuda/barrier>
#include <cuda/std/utility>

#include "cuda_check.h"

namespace {

using Barrier = cuda::barrier<cuda::thread_scope_block>;
constexpr unsigned kThreads = 160;
constexpr int kPhases = 50;

__device__ Barrier& make_barrier(void* memory, unsigned count) {
  auto* barrier = reinterpret_cast<Barrier*>(memory);
  if (threadIdx.x == 0) init(barrier, count);
  __syncthreads();
  return *barrier;
}

// Each phase every thread adds its neighbour's value of the phase before: wrong where a phase ends early.
__global__ void together(unsigned* out) {
  __shared__ alignas(Barrier) char memory[sizeof(Barrier)];
  __shared__ unsigned value[2][kThreads];
  Barrier& barrier = make_barrier(memory, kThreads);
  value[0][threadIdx.x] = threadIdx.x;
  barrier.arrive_and_wait();
  for (int phase = 0; phase < kPhases; ++phase) {
    const unsigned* from = value[phase % 2];
    value[(phase + 1) % 2][threadIdx.x] = from[threadIdx.x] + from[(threadIdx.x + 1) % kThreads];
    barrier.arrive_and_wait();
  }
  out[threadIdx.x] = value[kPhases % 2][threadIdx.x];
}

// Arrives, does something else, then waits. Before each phase the slowest warp differs.
__global__ void apart(unsigned* out) {
  __shared__ alignas(Barrier) char memory[sizeof(Barrier)];
  __shared__ unsigned value[2][kThreads];
  Barrier& barrier = make_barrier(memory, kThreads);
  unsigned sum = 0, spin = 0;
  for (int phase = 0; phase < kPhases; ++phase) {
    if (threadIdx.x / 32 == phase % 5) {
      for (int i = 0; i < 500; ++i) spin = spin * 1664525 + 1013904223;
    }
    value[phase % 2][threadIdx.x] = threadIdx.x * phase;
    auto token = barrier.arrive();
    sum += threadIdx.x;
    barrier.wait(cuda::std::move(token));
    sum += value[phase % 2][(threadIdx.x + 33) % kThreads];
  }
  out[threadIdx.x] = sum + (spin == 1 ? 1 : 0);
}

// Thread t takes part in t / 32 + 1 phases and drops out in the last of them. What the rest counted is seen
// by those that are left.
__global__ void dropping(unsigned* out) {
  __shared__ alignas(Barrier) char memory[sizeof(Barrier)];
  __shared__ unsigned present[8];
  Barrier& barrier = make_barrier(memory, kThreads);
  if (threadIdx.x < 8) present[threadIdx.x] = 0;
  __syncthreads();
  const unsigned last = threadIdx.x / 32;
  unsigned seen = 0;
  for (unsigned phase = 0; phase < last; ++phase) {
    atomicAdd(&present[phase], 1);
    barrier.arrive_and_wait();
    seen += present[phase];
  }
  atomicAdd(&present[last], 1);
  barrier.arrive_and_drop();
  out[threadIdx.x] = seen;
}

// One warp fills, another empties; two barriers of 64 arrivals, as a ring of one slot.
__global__ void hand_over(unsigned* out) {
  __shared__ alignas(Barrier) char full_memory[sizeof(Barrier)];
  __shared__ alignas(Barrier) char empty_memory[sizeof(Barrier)];
  __shared__ unsigned slot[32];
  Barrier& full = make_barrier(full_memory, 64);
  Barrier& empty = make_barrier(empty_memory, 64);
  const unsigned lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    for (unsigned i = 0; i < kPhases; ++i) {
      if (i != 0) empty.arrive_and_wait();
      slot[lane] = i * 100 + lane;
      (void)full.arrive();
    }
  } else if (threadIdx.x < 64) {
    unsigned sum = 0;
    for (unsigned i = 0; i < kPhases; ++i) {
      full.arrive_and_wait();
      sum += slot[(lane + 1) % 32];
      if (i + 1 != kPhases) (void)empty.arrive();
    }
    out[lane] = sum;
  }
}

// Several arrivals at once, and a function that runs when a phase is complete.
struct Count {
  unsigned* counter;
  __device__ void operator()() noexcept { ++*counter; }
};
__global__ void completion(unsigned* out) {
  using Counting = cuda::barrier<cuda::thread_scope_block, Count>;
  __shared__ alignas(Counting) char memory[sizeof(Counting)];
  __shared__ unsigned counter;
  auto& barrier = *reinterpret_cast<Counting*>(memory);
  if (threadIdx.x == 0) {
    counter = 0;
    new (&barrier) Counting(3 * kThreads, Count{&counter});
  }
  __syncthreads();
  for (int phase = 0; phase < kPhases; ++phase) {
    auto token = barrier.arrive(3);
    barrier.wait(cuda::std::move(token));
  }
  __syncthreads();
  out[threadIdx.x] = counter;
}

template <typename Want>
void check_kernel(void (*kernel)(unsigned*), unsigned count, const char* what, Want want) {
  const check::DeviceArray<unsigned> out(kThreads);
  for (int round = 0; round < 2; ++round) {
    kernel<<<round == 0 ? 1 : 3, kThreads>>>(out.get());  // all blocks write the same
    CUDA_CHECK_KERNEL();
    const std::vector<unsigned> got = out.download();
    for (unsigned i = 0; i < count; ++i) {
      const unsigned expected = want(i);
      REQUIRE(got[i] == expected, "%s: thread %u has %u, not %u", what, i, got[i], expected);
    }
  }
}

unsigned after_phases(unsigned thread) {
  std::vector<unsigned> value(kThreads), next(kThreads);
  for (unsigned i = 0; i < kThreads; ++i) value[i] = i;
  for (int phase = 0; phase < kPhases; ++phase) {
    for (unsigned i = 0; i < kThreads; ++i) next[i] = value[i] + value[(i + 1) % kThreads];
    value.swap(next);
  }
  return value[thread];
}

}  // namespace

int main() {
  check_kernel(together, kThreads, "together", after_phases);
  check_kernel(apart, kThreads, "apart", [](unsigned i) {
    unsigned sum = 0;
    for (unsigned phase = 0; phase < kPhases; ++phase) sum += i + (i + 33) % kThreads * phase;
    return sum;
  });
  check_kernel(dropping, kThreads, "dropping", [](unsigned i) {
    unsigned seen = 0;
    for (unsigned phase = 0; phase < i / 32; ++phase) seen += kThreads - 32 * phase;
    return seen;
  });
  check_kernel(hand_over, 32, "hand over", [](unsigned i) {
    unsigned sum = 0;
    for (unsigned k = 0; k < kPhases; ++k) sum += k * 100 + (i + 1) % 32;
    return sum;
  });
  check_kernel(completion, kThreads, "completion", [](unsigned) { return static_cast<unsigned>(kPhases); });
  return check::pass("%d phases of %u threads, apart, dropping, in turns", kPhases, kThreads);
}
