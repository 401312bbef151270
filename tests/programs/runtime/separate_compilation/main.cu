// Relocatable device code: kernels, functions and variables of two translation units, linked from their PTX.
#include "../cuda_check.h"
#include "units.h"

__device__ int calls = 0;

namespace {

// The same name as in the other unit: each has its own.
__device__ int private_value(int x) { return x + 1; }

__device__ int (*const kFunctions[])(int) = {private_value, scale_here};

__global__ void through_pointers(int* out, int which) {
  out[threadIdx.x] = kFunctions[which](static_cast<int>(threadIdx.x)) + private_value(0);
}

__global__ void combine(int* out) {
  const int i = static_cast<int>(threadIdx.x);
  Accumulator sum;
  sum.add(scale_there(i));
  sum.add(table_there[i % kTable]);
  out[i] = sum.total();
  atomicAdd(&calls, 1);
}

}  // namespace

__device__ int scale_here(int x) { return 10 * x; }

int main() {
  constexpr int kThreads = 50;
  check::DeviceArray<int> out(kThreads);
  std::vector<int> want(kThreads);

  combine<<<1, kThreads>>>(out.get());
  CUDA_CHECK_KERNEL();
  for (int i = 0; i < kThreads; ++i) want[i] = 3 * i + 10 * i + kTableStart + i % kTable;
  check::require_equal(out.download(), want, "functions and variables of the other unit");

  const int zero = 0;
  int counted = 0;
  CUDA_CHECK(cudaMemcpyFromSymbol(&counted, calls, sizeof(calls)));
  REQUIRE(counted == kThreads, "%d calls counted, not %d", counted, kThreads);
  CUDA_CHECK(cudaMemcpyToSymbol(calls, &zero, sizeof(calls)));

  launch_there(out.get(), kThreads);
  CUDA_CHECK_KERNEL();
  for (int i = 0; i < kThreads; ++i) want[i] = 10 * i - 1;
  check::require_equal(out.download(), want, "the other unit's kernel");
  CUDA_CHECK(cudaMemcpyFromSymbol(&counted, calls, sizeof(calls)));
  REQUIRE(counted == 2 * kThreads, "the other unit counted %d calls, not %d", counted, 2 * kThreads);

  for (const int which : {0, 1}) {
    through_pointers<<<1, kThreads>>>(out.get(), which);
    CUDA_CHECK_KERNEL();
    for (int i = 0; i < kThreads; ++i) want[i] = (which == 0 ? i + 1 : 10 * i) + 1;
    check::require_equal(out.download(), want, "function pointers");
  }
  return check::pass("two translation units, linked at load: exact");
}
