// The device heap: malloc, free, new and delete in kernels; memory that outlives the kernel that took it.
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

}  // namespace

int main() {
  check_lists();
  check_objects();
  check_exhaustion();
  return check::pass("lists across kernels, objects with virtual destructors, exhaustion: exact");
}
