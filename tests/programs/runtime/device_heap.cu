// The device heap: malloc, free, new and delete in kernels; memory that outlives the kernel that took it; its
// size, what it takes of the device, and that the host has no business there.
#include "cuda_check.h"

namespace {

struct Node {
  int value;
  Node* next;
};

__global__ void build_lists(Node** heads, int length) {
  Node* head = nullptr;
  for (int i = 0; i < length; ++i) head = new Node{static_cast<int>(threadIdx.x) + i, head};
  heads[threadIdx.x] = head;
}

__global__ void free_lists(Node** heads, int* sums) {
  int sum = 0;
  for (Node* node = heads[threadIdx.x]; node;) {
    Node* next = node->next;
    sum += node->value;
    delete node;
    node = next;
  }
  sums[threadIdx.x] = sum;
}

class Counter {
 public:
  __device__ explicit Counter(int* deleted) : deleted_(deleted) {}
  __device__ virtual ~Counter() { atomicAdd(deleted_, 1); }
  __device__ virtual int next() = 0;

 private:
  int* deleted_;
};

class Steps : public Counter {
 public:
  __device__ Steps(int* deleted, int width) : Counter(deleted), width_(width) {}
  __device__ ~Steps() override { width_ = 0; }
  __device__ int next() override { return at_ += width_; }

 private:
  int width_, at_ = 0;
};

class Doubling : public Counter {
 public:
  using Counter::Counter;
  __device__ int next() override { return at_ *= 2; }

 private:
  int at_ = 1;
};

__global__ void count(int* results, int* deleted) {
  const int i = threadIdx.x;
  Counter* counter = i % 2 ? static_cast<Counter*>(new Steps(deleted, i)) : new Doubling(deleted);
  int result = 0;
  for (int k = 0; k < 5; ++k) result = counter->next();
  results[i] = result;
  delete counter;  // through the virtual destructor
}

// More than the heap can ever give: null, and no fault.
__global__ void ask_too_much(int* refused, size_t bytes) {
  void* memory = malloc(bytes);
  *refused = memory == nullptr;
  free(memory);
}

// Takes pieces of `bytes` until there are none and chains them; how many there were, and the first.
__global__ void fill_heap(size_t bytes, int* taken, void** first) {
  void** previous = nullptr;
  int count = 0;
  while (auto* piece = static_cast<void**>(malloc(bytes))) {
    *piece = previous;
    previous = piece;
    ++count;
  }
  *taken = count;
  *first = previous;
}

__global__ void empty_heap(void** first, int* freed) {
  int count = 0;
  for (void* piece = *first; piece; ++count) {
    void* next = *static_cast<void**>(piece);
    free(piece);
    piece = next;
  }
  *freed = count;
}

__global__ void free_twice() {
  void* piece = malloc(64);
  free(piece);
  free(piece);
}

constexpr size_t kHeapBytes = 4u << 20;

size_t free_memory() {
  size_t free = 0, total = 0;
  CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return free;
}

// The heap is the device's memory from the first launch that uses it on, and from then on its size is fixed.
void check_size() {
  CUDA_CHECK(cudaDeviceSetLimit(cudaLimitMallocHeapSize, kHeapBytes));
  size_t heap = 0;
  CUDA_CHECK(cudaDeviceGetLimit(&heap, cudaLimitMallocHeapSize));
  REQUIRE(heap == kHeapBytes, "a heap of %zu bytes, %zu asked for", heap, kHeapBytes);
  check::DeviceArray<int> count(1);
  check::DeviceArray<void*> first(1);
  const size_t before = free_memory();
  constexpr size_t kPiece = 1000;
  fill_heap<<<1, 1>>>(kPiece, count.get(), first.get());
  CUDA_CHECK_KERNEL();
  const size_t after = free_memory();
  REQUIRE(before - after >= kHeapBytes, "a heap of %zu bytes took %zu of the device", kHeapBytes,
          before - after);
  const int taken = count.download()[0];
  REQUIRE(taken > 0 && taken * kPiece <= kHeapBytes && taken * kPiece > kHeapBytes / 2,
          "%d pieces of %zu bytes in a heap of %zu", taken, kPiece, kHeapBytes);
  CUDA_EXPECT(cudaErrorInvalidValue, cudaDeviceSetLimit(cudaLimitMallocHeapSize, 2 * kHeapBytes));
  CUDA_CHECK(cudaDeviceGetLimit(&heap, cudaLimitMallocHeapSize));
  REQUIRE(heap == kHeapBytes, "the heap grew to %zu bytes", heap);

  void* piece = first.download()[0];
  int word = 0;
  CUDA_EXPECT(cudaErrorInvalidValue, cudaFree(piece));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaMemcpy(&word, piece, sizeof(word), cudaMemcpyDeviceToHost));
  CUDA_EXPECT(cudaErrorInvalidValue, cudaMemset(piece, 0, sizeof(word)));
  (void)cudaGetLastError();

  empty_heap<<<1, 1>>>(first.get(), count.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(count.download()[0] == taken, "%d pieces freed, %d taken", count.download()[0], taken);
  fill_heap<<<1, 1>>>(kPiece, count.get(), first.get());
  empty_heap<<<1, 1>>>(first.get(), count.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(count.download()[0] == taken, "%d pieces the second time, %d the first", count.download()[0],
          taken);
  REQUIRE(free_memory() == after, "the heap took more of the device: %zu bytes free, %zu before",
          free_memory(), after);
}

void check_lists() {
  constexpr int kThreads = 96, kLength = 20;
  check::DeviceArray<Node*> heads(kThreads);
  check::DeviceArray<int> sums(kThreads);
  build_lists<<<1, kThreads>>>(heads.get(), kLength);
  free_lists<<<1, kThreads>>>(heads.get(), sums.get());
  CUDA_CHECK_KERNEL();
  std::vector<int> want(kThreads);
  for (int i = 0; i < kThreads; ++i) want[i] = i * kLength + kLength * (kLength - 1) / 2;
  check::require_equal(sums.download(), want, "lists");
}

void check_objects() {
  check::DeviceArray<int> results(64), deleted(1);
  deleted.fill(0);
  count<<<1, 64>>>(results.get(), deleted.get());
  CUDA_CHECK_KERNEL();
  std::vector<int> want(64);
  for (int i = 0; i < 64; ++i) want[i] = i % 2 ? 5 * i : 32;
  check::require_equal(results.download(), want, "objects");
  REQUIRE(deleted.download()[0] == 64, "%d objects deleted, not 64", deleted.download()[0]);
}

void check_exhaustion() {
  size_t heap = 0;
  CUDA_CHECK(cudaDeviceGetLimit(&heap, cudaLimitMallocHeapSize));
  REQUIRE(heap >= 1u << 20, "a device heap of %zu bytes", heap);
  check::DeviceArray<int> refused(1);
  ask_too_much<<<1, 1>>>(refused.get(), 4 * heap);
  CUDA_CHECK_KERNEL();
  REQUIRE(refused.download()[0] == 1, "the heap of %zu bytes gave four times as much", heap);
}

// The end of the device's context ends the heap too.
void check_end() {
  free_twice<<<1, 1>>>();
  CUDA_EXPECT(cudaErrorLaunchFailure, cudaDeviceSynchronize());
  CUDA_CHECK(cudaDeviceReset());
  (void)cudaGetLastError();
  size_t heap = 0;
  CUDA_CHECK(cudaDeviceGetLimit(&heap, cudaLimitMallocHeapSize));
  REQUIRE(heap == 8u << 20, "a heap of %zu bytes after the reset, not CUDA's 8 MiB", heap);
  check_lists();
}

}  // namespace

int main() {
  check_size();
  check_lists();
  check_objects();
  check_exhaustion();
  check_end();
  return check::pass(
      "size, lists across kernels, objects with virtual destructors, exhaustion, faults: exact");
}
