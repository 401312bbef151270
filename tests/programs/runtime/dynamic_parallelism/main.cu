// Kernels that launch kernels: recursion, order in streams, fire and forget, tail launches, errors, copies
// and fills, and a parent that is finished only when its children are.
#include <algorithm>
#include <cstdint>

#include "../cuda_check.h"

namespace {

// Quicksort whose halves are grids of their own.
__global__ void quicksort(uint32_t* values, int count) {
  if (count <= 8) {
    for (int i = 1; i < count; ++i) {
      const uint32_t value = values[i];
      int at = i;
      for (; at > 0 && values[at - 1] > value; --at) values[at] = values[at - 1];
      values[at] = value;
    }
    return;
  }
  const uint32_t pivot = values[count / 2];
  int left = 0, right = count - 1;
  while (left <= right) {
    while (values[left] < pivot) ++left;
    while (values[right] > pivot) --right;
    if (left > right) break;
    const uint32_t swap = values[left];
    values[left++] = values[right];
    values[right--] = swap;
  }
  cudaStream_t side;
  cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking);
  if (right > 0) quicksort<<<1, 1>>>(values, right + 1);
  if (left < count) quicksort<<<1, 1, 0, side>>>(values + left, count - left);
  cudaStreamDestroy(side);
}

// Appends `mark` to a list whose length is its first element.
__global__ void append(int* list, int mark) {
  const int at = atomicAdd(list, 1);
  list[1 + at] = mark;
}

__global__ void spin_and_append(int* list, int mark) {
  const long long end = clock64() + 200000;
  while (clock64() < end) {
  }
  append<<<1, 1>>>(list, mark);
}

// One stream keeps its order; tail launches come after everything, in theirs.
__global__ void in_order(int* list) {
  append<<<1, 1, 0, cudaStreamTailLaunch>>>(list, 100);
  append<<<1, 1, 0, cudaStreamTailLaunch>>>(list, 101);
  for (int i = 0; i < 5; ++i) spin_and_append<<<1, 1>>>(list, i);
  append<<<1, 1, 0, cudaStreamFireAndForget>>>(list, 50);
}

__global__ void square(const int* in, int* out) {
  extern __shared__ int staged[];
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  staged[threadIdx.x] = in[i];
  __syncthreads();
  out[i] = staged[blockDim.x - 1 - threadIdx.x] * staged[blockDim.x - 1 - threadIdx.x];
}

// Every thread launches a grid for its part.
__global__ void square_parts(const int* in, int* out, int part) {
  const unsigned begin = (blockIdx.x * blockDim.x + threadIdx.x) * part;
  square<<<part / 16, 16, 16 * sizeof(int), cudaStreamFireAndForget>>>(in + begin, out + begin);
}

struct Large {
  int values[200];
};

__global__ void take_large(Large large, int* out) {
  int sum = 0;
  for (int value : large.values) sum += value;
  *out = sum;
}

__global__ void pass_large(int* out) {
  Large large;
  for (int i = 0; i < 200; ++i) large.values[i] = i;
  take_large<<<1, 1>>>(large, out);
}

__global__ void make_errors(int* errors) {
  errors[0] = cudaGetLastError();
  append<<<1, 2000>>>(errors, 0);
  errors[1] = cudaPeekAtLastError();
  errors[2] = cudaGetLastError();
  errors[3] = cudaGetLastError();
  append<<<1, 1, 0, reinterpret_cast<cudaStream_t>(uintptr_t{0x7777})>>>(errors, 0);
  errors[4] = cudaGetLastError();
  int value = 0;
  errors[5] = cudaDeviceGetAttribute(&value, cudaDevAttrWarpSize, 0);
  errors[6] = value;
  errors[7] = cudaGetDevice(&value);
  errors[8] = value;
}

__global__ void copy_and_fill(int* data) {
  cudaMemsetAsync(data, 1, 4 * sizeof(int));
  cudaMemcpyAsync(data + 4, data, 4 * sizeof(int), cudaMemcpyDeviceToDevice);
  cudaMemsetAsync(data, 2, 2 * sizeof(int));
}

__global__ void heap_pieces(int* results) {
  int* piece = nullptr;
  results[0] = cudaMalloc(&piece, 64);
  piece[15] = 42;
  results[1] = piece[15];
  results[2] = cudaFree(piece);
}

__global__ void nest(int* depth, int* error) {
  atomicAdd(depth, 1);
  nest<<<1, 1>>>(depth, error);
  const int failed = cudaGetLastError();
  if (failed != 0) *error = failed;
}

// More launches at once than the device keeps.
__global__ void flood(int* list, int launches, int* refused) {
  for (int i = 0; i < launches; ++i) {
    append<<<1, 1, 0, cudaStreamTailLaunch>>>(list, i);
    if (cudaGetLastError() == cudaErrorLaunchPendingCountExceeded) ++*refused;
  }
}

void check_sort() {
  constexpr int kCount = 3000;
  std::vector<uint32_t> values(kCount);
  for (int i = 0; i < kCount; ++i) values[i] = (i * 2654435761u) >> 7;
  check::DeviceArray<uint32_t> sorted(values);
  quicksort<<<1, 1>>>(sorted.get(), kCount);
  CUDA_CHECK_KERNEL();
  std::sort(values.begin(), values.end());
  check::require_equal(sorted.download(), values, "quicksort");
}

void check_order() {
  check::DeviceArray<int> list(32);
  list.fill(0);
  in_order<<<1, 1>>>(list.get());
  append<<<1, 1>>>(list.get(), 200);  // after the parent with all that it launched
  CUDA_CHECK_KERNEL();
  std::vector<int> marks = list.download();
  REQUIRE(marks[0] == 9, "%d marks, not 9", marks[0]);
  marks.resize(10);
  marks.erase(marks.begin());
  const auto unordered = std::find(marks.begin(), marks.end(), 50);
  REQUIRE(unordered != marks.end() && unordered - marks.begin() <= 5,
          "the mark that is free to come is late");
  marks.erase(unordered);
  check::require_equal(marks, {0, 1, 2, 3, 4, 100, 101, 200}, "marks");
}

void check_parts() {
  constexpr int kPart = 64, kThreads = 40, kBlocks = 3, kCount = kPart * kThreads * kBlocks;
  std::vector<int> in(kCount), want(kCount);
  for (int i = 0; i < kCount; ++i) in[i] = i % 1000;
  for (int i = 0; i < kCount; ++i) {
    const int mirrored = i / 16 * 16 + 15 - i % 16;
    want[i] = in[mirrored] * in[mirrored];
  }
  check::DeviceArray<int> source(in), out(kCount);
  square_parts<<<kBlocks, kThreads>>>(source.get(), out.get(), kPart);
  CUDA_CHECK_KERNEL();
  check::require_equal(out.download(), want, "grids of every thread");
}

void check_parameters() {
  check::DeviceArray<int> out(1);
  pass_large<<<1, 1>>>(out.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(out.download()[0] == 199 * 200 / 2, "a sum of %d over a large parameter", out.download()[0]);
}

void check_errors() {
  check::DeviceArray<int> errors(9);
  errors.fill(0xff);
  make_errors<<<1, 1>>>(errors.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(errors.download(),
                       {0, cudaErrorInvalidConfiguration, cudaErrorInvalidConfiguration, 0,
                        cudaErrorInvalidResourceHandle, 0, 32, 0, 0},
                       "errors in kernels");
}

void check_copies() {
  check::DeviceArray<int> data(8);
  copy_and_fill<<<1, 1>>>(data.get());
  CUDA_CHECK_KERNEL();
  constexpr int kOnes = 0x01010101, kTwos = 0x02020202;
  check::require_equal(data.download(), {kTwos, kTwos, kOnes, kOnes, kOnes, kOnes, kOnes, kOnes},
                       "copies and fills");
  check::DeviceArray<int> results(3);
  heap_pieces<<<1, 1>>>(results.get());
  CUDA_CHECK_KERNEL();
  check::require_equal(results.download(), {0, 42, 0}, "cudaMalloc in a kernel");
}

void check_limits() {
  check::DeviceArray<int> depth(1), error(1);
  depth.fill(0);
  error.fill(0);
  nest<<<1, 1>>>(depth.get(), error.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(depth.download()[0] == 25, "%d grids deep, not the parent and 24", depth.download()[0]);
  REQUIRE(error.download()[0] == cudaErrorLaunchMaxDepthExceeded, "error %d beyond", error.download()[0]);

  size_t pending = 0;
  CUDA_CHECK(cudaDeviceSetLimit(cudaLimitDevRuntimePendingLaunchCount, 64));
  CUDA_CHECK(cudaDeviceGetLimit(&pending, cudaLimitDevRuntimePendingLaunchCount));
  REQUIRE(pending == 64, "a limit of %zu, not 64", pending);
  constexpr int kLaunches = 100;
  check::DeviceArray<int> list(kLaunches + 1), refused(1);
  list.fill(0);
  refused.fill(0);
  flood<<<1, 1>>>(list.get(), kLaunches, refused.get());
  CUDA_CHECK_KERNEL();
  REQUIRE(refused.download()[0] == kLaunches - 64, "%d launches refused, not %d", refused.download()[0],
          kLaunches - 64);
  REQUIRE(list.download()[0] == 64, "%d of 64 launches ran", list.download()[0]);
}

// A fault of a child is its parent's context's.
__global__ void write_to(int* address) { *address = 1; }
__global__ void launch_fault() { write_to<<<1, 1>>>(reinterpret_cast<int*>(uintptr_t{64})); }

void check_fault() {
  launch_fault<<<1, 1>>>();
  CUDA_EXPECT(cudaErrorIllegalAddress, cudaDeviceSynchronize());
  CUDA_CHECK(cudaDeviceReset());
}

}  // namespace

int main() {
  check_sort();
  check_order();
  check_parts();
  check_parameters();
  check_errors();
  check_copies();
  check_limits();
  check_fault();
  return check::pass("recursion, order, tail launches, errors and limits of launches from kernels: exact");
}
