// The second translation unit.
#include "units.h"

__device__ int table_there[kTable] = {kTableStart,     kTableStart + 1, kTableStart + 2, kTableStart + 3,
                                      kTableStart + 4, kTableStart + 5, kTableStart + 6};

namespace {

// The same name as in the first unit.
__device__ int private_value(int x) { return x - 1; }

__global__ void scale(int* out) {
  const int i = static_cast<int>(threadIdx.x);
  out[i] = scale_here(i) + private_value(0);
  atomicAdd(&calls, 2);
}

}  // namespace

__device__ int scale_there(int x) { return 3 * x + scale_here(x); }

__device__ void Accumulator::add(int value) { total_ += value; }

void launch_there(int* out, int threads) { scale<<<1, threads>>>(out); }
