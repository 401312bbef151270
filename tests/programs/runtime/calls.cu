// Calls on the device: recursion, function pointers, virtual functions on objects made there, device new and
// local arrays.
#include <algorithm>
#include <new>

#include "cuda_check.h"

namespace {

// Two recursive calls per level, to a depth that differs by lane.
__host__ __device__ __noinline__ unsigned fibonacci(unsigned n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

__host__ __device__ __noinline__ unsigned ackermann(unsigned m, unsigned n) {
  if (m == 0) return n + 1;
  if (n == 0) return ackermann(m - 1, 1);
  return ackermann(m - 1, ackermann(m, n - 1));
}

__global__ void recurse(unsigned* fibonaccis, unsigned* ackermanns) {
  const unsigned i = threadIdx.x;
  fibonaccis[i] = fibonacci(i % 13);
  ackermanns[i] = ackermann(i % 3, i % 5);
}

using Operation = int (*)(int, int);

__host__ __device__ int plus(int a, int b) { return a + b; }
__host__ __device__ int minus(int a, int b) { return a - b; }
__host__ __device__ int times(int a, int b) { return a * b; }
__host__ __device__ int larger(int a, int b) { return a > b ? a : b; }

__device__ Operation operations[4] = {plus, minus, times, larger};

// Lanes of one warp call different functions through one instruction.
__global__ void call_pointers(const int* a, const int* b, const int* which, int* out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = operations[which[i]](a[i], b[i]);
}

class Shape {
 public:
  __host__ __device__ virtual float area() const = 0;
  __host__ __device__ virtual int corners() const { return 0; }

 protected:
  ~Shape() = default;  // never deleted: a virtual destructor would ask for the device heap
};

class Square : public Shape {
 public:
  __host__ __device__ explicit Square(float side) : side_(side) {}
  __host__ __device__ float area() const override { return side_ * side_; }
  __host__ __device__ int corners() const override { return 4; }

 private:
  float side_;
};

class Circle : public Shape {
 public:
  __host__ __device__ explicit Circle(float radius) : radius_(radius) {}
  __host__ __device__ float area() const override { return 3.0f * radius_ * radius_; }  // exact in float

 private:
  float radius_;
};

// Objects get their virtual table where they are made: on the device.
__global__ void make_shapes(Shape** shapes, char* room, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const float size = static_cast<float>(i % 50);
  void* place = room + static_cast<size_t>(i) * 64;
  shapes[i] = i % 3 == 0 ? static_cast<Shape*>(new (place) Square(size)) : new (place) Circle(size);
}

__global__ void measure(Shape** shapes, float* areas, int* corners, int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  areas[i] = shapes[i]->area();
  corners[i] = shapes[i]->corners();
}

// A local array with computed indices and an insertion sort per thread.
__global__ void sort_locally(const int* in, int* out) {
  int local[16];
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  for (int i = 0; i < 16; ++i) {
    int k = i;
    const int value = in[thread * 16 + i];
    for (; k > 0 && local[k - 1] > value; --k) local[k] = local[k - 1];
    local[k] = value;
  }
  for (int i = 0; i < 16; ++i) out[thread * 16 + i] = local[i];
}

void check_recursion() {
  check::DeviceArray<unsigned> fibonaccis(64), ackermanns(64);
  recurse<<<1, 64>>>(fibonaccis.get(), ackermanns.get());
  CUDA_CHECK_KERNEL();
  std::vector<unsigned> want_f(64), want_a(64);
  for (unsigned i = 0; i < 64; ++i) {
    want_f[i] = fibonacci(i % 13);
    want_a[i] = ackermann(i % 3, i % 5);
  }
  check::require_equal(fibonaccis.download(), want_f, "fibonacci");
  check::require_equal(ackermanns.download(), want_a, "ackermann");
}

void check_pointers() {
  constexpr int kCount = 4096;
  std::vector<int> a(kCount), b(kCount), which(kCount), want(kCount);
  const Operation host_operations[] = {plus, minus, times, larger};
  check::Random random(1);
  for (int i = 0; i < kCount; ++i) {
    a[i] = static_cast<int>(random.below(1000)) - 500;
    b[i] = static_cast<int>(random.below(1000)) - 500;
    which[i] = static_cast<int>(random.below(4));
    want[i] = host_operations[which[i]](a[i], b[i]);
  }
  check::DeviceArray<int> device_a(a), device_b(b), device_which(which), out(kCount);
  call_pointers<<<kCount / 128, 128>>>(device_a.get(), device_b.get(), device_which.get(), out.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), want, "function pointers");
}

void check_virtual() {
  constexpr int kCount = 500;
  check::DeviceArray<Shape*> shapes(kCount);
  check::DeviceArray<char> room(kCount * 64);
  check::DeviceArray<float> areas(kCount);
  check::DeviceArray<int> corners(kCount);
  make_shapes<<<4, 128>>>(shapes.get(), room.get(), kCount);
  measure<<<4, 128>>>(shapes.get(), areas.get(), corners.get(), kCount);
  CUDA_CHECK_KERNEL();
  std::vector<float> want_areas(kCount);
  std::vector<int> want_corners(kCount);
  for (int i = 0; i < kCount; ++i) {
    const float size = static_cast<float>(i % 50);
    want_areas[i] = i % 3 == 0 ? Square(size).area() : Circle(size).area();
    want_corners[i] = i % 3 == 0 ? 4 : 0;
  }
  check::require_equal(areas.download(), want_areas, "areas");
  check::require_equal(corners.download(), want_corners, "corners");
}

void check_local() {
  constexpr int kThreads = 512;
  std::vector<int> values = check::random_integers<int>(kThreads * 16, 2);
  check::DeviceArray<int> in(values), out(values.size());
  sort_locally<<<kThreads / 64, 64>>>(in.get(), out.get());
  CUDA_CHECK_KERNEL();
  for (int i = 0; i < kThreads; ++i) std::sort(values.begin() + i * 16, values.begin() + (i + 1) * 16);
  check::require_equal(out.download(), values, "locally sorted");
}

}  // namespace

int main() {
  size_t stack = 0;
  CUDA_CHECK(cudaDeviceGetLimit(&stack, cudaLimitStackSize));
  CUDA_CHECK(cudaDeviceSetLimit(cudaLimitStackSize, 16 * 1024));
  check_recursion();
  check_pointers();
  check_virtual();
  check_local();
  return check::pass("recursion, pointers, virtual functions, local arrays: exact (stack was %zu)", stack);
}
