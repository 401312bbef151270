// What the two translation units of this program know of each other.
#pragma once

constexpr int kTable = 7, kTableStart = 100;

extern __device__ int calls;
extern __device__ int table_there[kTable];
__device__ int scale_here(int x);
__device__ int scale_there(int x);  // 3 x + 10 x, by the first unit's scale_here

class Accumulator {
 public:
  __device__ void add(int value);
  __device__ int total() const { return total_; }

 private:
  int total_ = 0;
};

void launch_there(int* out, int threads);
