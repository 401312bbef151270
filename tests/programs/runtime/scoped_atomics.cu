// cuda::atomic and atomic_ref: every operation, types from one to eight bytes, floats, the scopes and orders;
// messages between blocks by release and acquire; waiting and notifying; semaphores and latches.
#include <algorithm>
#include <cuda/atomic>
#include <cuda/latch>
#include <cuda/semaphore>

#include "cuda_check.h"

namespace {

constexpr unsigned kBlocks = 6, kThreads = 64, kTotal = kBlocks * kThreads;

template <typename T, cuda::thread_scope Scope>
using Ref = cuda::atomic_ref<T, Scope>;

// Results that do not depend on the order of the threads.
template <typename T>
__global__ void integers(T* out) {
  const T me = static_cast<T>(blockIdx.x * blockDim.x + threadIdx.x);
  Ref<T, cuda::thread_scope_device>(out[0]).fetch_add(me, cuda::memory_order_relaxed);
  Ref<T, cuda::thread_scope_system>(out[1]).fetch_sub(me, cuda::memory_order_acq_rel);
  Ref<T, cuda::thread_scope_device>(out[2]).fetch_max(me, cuda::memory_order_release);
  Ref<T, cuda::thread_scope_device>(out[3]).fetch_min(me, cuda::memory_order_acquire);
  Ref<T, cuda::thread_scope_system>(out[4]).fetch_xor(me);
  Ref<T, cuda::thread_scope_device>(out[5]).fetch_or(me);
  Ref<T, cuda::thread_scope_device>(out[6]).fetch_and(static_cast<T>(me | T{64}));
  // An increment by hand.
  Ref<T, cuda::thread_scope_device> count(out[7]);
  T old = count.load(cuda::memory_order_relaxed);
  while (!count.compare_exchange_weak(old, static_cast<T>(old + 1), cuda::memory_order_acq_rel,
                                      cuda::memory_order_relaxed)) {
  }
}

template <typename T>
void check_integers(const char* what) {
  std::vector<T> start = {5, 7, 0, 100, 0, 0, static_cast<T>(-1), 0}, want = start;
  const check::DeviceArray<T> out(start);
  integers<T><<<kBlocks, kThreads>>>(out.get());
  CUDA_CHECK_KERNEL();
  for (unsigned i = 0; i < kTotal; ++i) {
    const T me = static_cast<T>(i);
    want[0] = static_cast<T>(want[0] + me);
    want[1] = static_cast<T>(want[1] - me);
    want[2] = std::max(want[2], me);
    want[3] = std::min(want[3], me);
    want[4] = static_cast<T>(want[4] ^ me);
    want[5] = static_cast<T>(want[5] | me);
    want[6] = static_cast<T>(want[6] & (me | T{64}));
    want[7] = static_cast<T>(want[7] + 1);
  }
  check::require_equal(out.download(), want, what);
}

template <typename T>
__global__ void reals(T* out) {
  const T me = static_cast<T>(blockIdx.x * blockDim.x + threadIdx.x);
  Ref<T, cuda::thread_scope_device>(out[0]).fetch_add(me / 2);
  Ref<T, cuda::thread_scope_system>(out[1]).fetch_sub(me);
  Ref<T, cuda::thread_scope_device>(out[2]).fetch_max(me);
  Ref<T, cuda::thread_scope_device>(out[3]).fetch_min(-me);
}

template <typename T>
void check_reals(const char* what) {
  const check::DeviceArray<T> out{std::vector<T>(4)};
  reals<T><<<kBlocks, kThreads>>>(out.get());
  CUDA_CHECK_KERNEL();
  const T sum = T(kTotal * (kTotal - 1) / 2);
  check::require_equal(out.download(), {sum / 2, -sum, T(kTotal - 1), T(1) - T(kTotal)}, what);
}

// Block b hands its numbers to block b + 1, which adds its own and hands them on.
__global__ void chain(int* values, int* flags) {
  const unsigned b = blockIdx.x;
  if (b != 0) {
    if (threadIdx.x == 0) {
      Ref<int, cuda::thread_scope_device> flag(flags[b - 1]);
      while (flag.load(cuda::memory_order_acquire) == 0) {
      }
    }
    __syncthreads();
  }
  const int before = b == 0 ? 0 : values[(b - 1) * kThreads + threadIdx.x];
  values[b * kThreads + threadIdx.x] = before + static_cast<int>(threadIdx.x * (b + 1));
  __syncthreads();
  if (threadIdx.x == 0) Ref<int, cuda::thread_scope_device>(flags[b]).store(1, cuda::memory_order_release);
}

void check_chain() {
  const check::DeviceArray<int> values(kTotal), flags{std::vector<int>(kBlocks)};
  chain<<<kBlocks, kThreads>>>(values.get(), flags.get());
  CUDA_CHECK_KERNEL();
  const std::vector<int> got = values.download();
  for (unsigned i = 0; i < kTotal; ++i) {
    const unsigned b = i / kThreads + 1;
    REQUIRE(got[i] == static_cast<int>(i % kThreads * (b * (b + 1) / 2)), "element %u is %d", i, got[i]);
  }
}

struct Shared {
  cuda::atomic<int, cuda::thread_scope_device> turn{0};
  cuda::counting_semaphore<cuda::thread_scope_device, 2> room{2};
  cuda::atomic<int, cuda::thread_scope_device> inside{0}, most{0};
  cuda::latch<cuda::thread_scope_device> all{kBlocks};
};

// One thread a block: no more than two at a time in the middle, all at the latch, then one after the other.
__global__ void queue(Shared* shared, int* order) {
  shared->room.acquire();
  shared->most.fetch_max(shared->inside.fetch_add(1) + 1);
  shared->inside.fetch_sub(1);
  shared->room.release();
  shared->all.arrive_and_wait();
  const int me = static_cast<int>(blockIdx.x);
  for (int now = shared->turn.load(); now != me; now = shared->turn.load()) shared->turn.wait(now);
  order[me] = shared->turn.load();
  shared->turn.store(me + 1);
  shared->turn.notify_all();
}

void check_queue() {
  Shared* shared = nullptr;
  CUDA_CHECK(cudaMallocManaged(&shared, sizeof(Shared)));
  new (shared) Shared();
  const check::DeviceArray<int> order(kBlocks);
  queue<<<kBlocks, 1>>>(shared, order.get());
  CUDA_CHECK_KERNEL();
  const std::vector<int> got = order.download();
  for (unsigned i = 0; i < kBlocks; ++i)
    REQUIRE(got[i] == static_cast<int>(i), "block %u came at %d", i, got[i]);
  const int most = shared->most.load();
  REQUIRE(most >= 1 && most <= 2, "%d at a time", most);
  CUDA_CHECK(cudaFree(shared));
}

}  // namespace

int main() {
  check_integers<unsigned char>("8 bits");
  check_integers<unsigned short>("16 bits");
  check_integers<int>("32 bits");
  check_integers<unsigned long long>("64 bits");
  check_reals<float>("f32");
  check_reals<double>("f64");
  check_chain();
  check_queue();
  return check::pass("integers of 8 to 64 bits, f32, f64, a chain of %u blocks, a semaphore, a latch",
                     kBlocks);
}
