// What compilers make of ordinary C++: virtual functions, recursion, function pointers, mixed initialisers,
// switch, printf, inline assembly with scopes, vector loads. No CUDA headers, so that clang compiles it alone; see
// build.sh.
#ifdef __clang__
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
extern "C" __device__ int vprintf(const char* format, void* arguments);
__device__ void report(int value) {
  void* arguments[1] = {&value};
  vprintf("value %d\n", arguments);
}
__device__ int thread() { return __nvvm_read_ptx_sreg_tid_x(); }
#else
#include <cstdio>
__device__ void report(int value) { printf("value %d\n", value); }
__device__ int thread() { return threadIdx.x; }
#endif

__device__ int increment(int x) { return x + 1; }
__device__ int twice(int x) { return x * 2; }

struct Row {
  char tag;
  const char* name;
  short value;
  int (*apply)(int);
};
__device__ Row rows[2] = {{'a', "first", 3, increment}, {'b', "second", 4, twice}};
__constant__ float weights[4] = {1.0f, -2.5f, 3.0f, 0.5f};
__device__ double scale = 1.5;

struct Shape {
  __device__ virtual int area(int x) { return x; }
};
struct Square : Shape {
  __device__ int area(int x) override { return x * x; }
};

__device__ __attribute__((noinline)) int fibonacci(int n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

struct __attribute__((aligned(16))) Quad {
  float x, y, z, w;
};

extern __shared__ float scratch[];

extern "C" __global__ void features(int* out, float* in, Quad* quads, Row by_value, int n) {
  __shared__ int tile[32];
  const int t = thread();
  tile[t] = out[t];
  __syncthreads();
  scratch[t] = in[t] * weights[t & 3];
  Square square;
  Shape plain;
  Shape* shapes[2] = {&plain, &square};
  out[t] = shapes[n & 1]->area(tile[31 - t]) + fibonacci(n) + rows[n & 1].apply(t) + by_value.value;
  report(out[t]);
  switch (n) {
    case 0: out[1] = out[7]; break;
    case 1: out[2] = static_cast<int>(in[1]); break;
    case 2: out[3] = out[2] * 5; break;
    case 3: out[4] = 1; break;
    case 4: out[9] = out[2] - 8; break;
    case 5: out[5] = out[3] ^ 77; break;
    case 6: out[6] = out[8] % 9; break;
    case 7: out[7] = out[9] / 3; break;
    case 8: out[8] = static_cast<int>(in[2] * in[3]); break;
    case 9: out[9] = out[1] - out[2]; break;
  }
  for (int i = 0; i < 2; ++i) {
    int lane;
    asm volatile(
        "{ .reg .pred p; .reg .b32 q<3>; setp.eq.s32 p, %1, 0; @p bra L; mov.b32 q1, 5;"
        " L: add.s32 %0, q1, %%laneid; }"
        : "=r"(lane)
        : "r"(n));
    out[10 + i] = lane;
  }
  Quad quad = quads[t];
  quad.x *= static_cast<float>(scale);
  quads[t + 1] = quad;
}
