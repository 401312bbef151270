// The ten kernels of bench_kernels.cc as plain C++ writes them: loops over a range of the work, so that
// threads can share it.
#pragma once

#include <cstdint>

namespace tessera::bench {

struct alignas(16) Body {
  float x, y, z, mass;
};

// All work on [begin, end) of what the comment names.
void vector_add(const float* a, const float* b, float* sum, uint32_t begin, uint32_t end);  // elements
void mandelbrot(int* counts, uint32_t width, uint32_t height, int limit, uint32_t begin,
                uint32_t end);                                                                    // rows
void matmul(const float* a, const float* b, float* c, uint32_t n, uint32_t begin, uint32_t end);  // rows
int reduce(const int* values, uint32_t begin, uint32_t end);                                      // elements
int scan(const int* values, int* sums, uint32_t begin, uint32_t end);  // elements; returns their sum
void add_before(int* sums, int before, uint32_t begin, uint32_t end);  // elements
void histogram(const unsigned char* bytes, uint32_t* bins, uint32_t begin,
               uint32_t end);  // elements; 64 bins
void stencil(const float* from, float* to, uint32_t width, uint32_t height, uint32_t begin,
             uint32_t end);  // rows
void black_scholes(const float* price, const float* strike, const float* years, float* call, float* put,
                   float rate, float volatility, uint32_t begin, uint32_t end);  // options
void transpose(const float* from, float* to, uint32_t width, uint32_t height, uint32_t begin,
               uint32_t end);  // rows
void accelerations(const Body* bodies, float* ax, float* ay, float* az, uint32_t count, uint32_t begin,
                   uint32_t end);  // bodies

}  // namespace tessera::bench
