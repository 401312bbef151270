// alloca in device code: arrays whose size each thread decides, within calls and loops, given back at the end
// of each.
#include <alloca.h>

#include "cuda_check.h"

namespace {

constexpr unsigned kThreads = 96;

// The sum of squares below n, by way of an array of n, reversed by recursion into an array of its own.
__device__ __noinline__ unsigned long long squares(int n, int depth) {
  auto* values = static_cast<unsigned*>(alloca(static_cast<size_t>(n) * sizeof(unsigned)));
  for (int i = 0; i < n; ++i) values[i] = static_cast<unsigned>(i * i);
  const unsigned long long inner = depth > 0 ? squares(n / 2, depth - 1) : 0;
  unsigned long long sum = inner;
  for (int i = n - 1; i >= 0; --i) sum += values[i];
  return sum;
}

__global__ void arrays(unsigned long long* out) {
  unsigned long long sum = 0;
  // What a call allocates is free again when it returns: this would need megabytes otherwise.
  for (int round = 0; round < 200; ++round) sum += squares(static_cast<int>(threadIdx.x) + round, 3);
  out[threadIdx.x] = sum;
}

unsigned long long want(int n, int depth) {
  unsigned long long sum = depth > 0 ? want(n / 2, depth - 1) : 0;
  for (int i = 0; i < n; ++i) sum += static_cast<unsigned>(i * i);
  return sum;
}

}  // namespace

int main() {
  const check::DeviceArray<unsigned long long> out(kThreads);
  CUDA_CHECK(cudaDeviceSetLimit(cudaLimitStackSize, 8 << 10));
  arrays<<<1, kThreads>>>(out.get());
  CUDA_CHECK_KERNEL();
  const std::vector<unsigned long long> got = out.download();
  for (unsigned i = 0; i < kThreads; ++i) {
    unsigned long long sum = 0;
    for (int round = 0; round < 200; ++round) sum += want(static_cast<int>(i) + round, 3);
    REQUIRE(got[i] == sum, "thread %u: %llu, not %llu", i, got[i], sum);
  }
  return check::pass("arrays of up to %u elements, four calls deep", kThreads + 199);
}
