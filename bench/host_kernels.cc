#include "host_kernels.h"

#include <algorithm>
#include <cmath>

namespace tessera::bench {

void vector_add(const float* a, const float* b, float* sum, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end; ++i) sum[i] = a[i] + b[i];
}

void mandelbrot(int* counts, uint32_t width, uint32_t height, int limit, uint32_t begin, uint32_t end) {
  for (uint32_t y = begin; y < end; ++y) {
    const float cy = -1.2f + 2.4f * static_cast<float>(y) / static_cast<float>(height);
    for (uint32_t x = 0; x < width; ++x) {
      const float cx = -2.2f + 3.2f * static_cast<float>(x) / static_cast<float>(width);
      float zx = 0, zy = 0;
      int count = 0;
      while (count < limit && zx * zx + zy * zy <= 4.0f) {
        const float next = zx * zx - zy * zy + cx;
        zy = 2.0f * zx * zy + cy;
        zx = next;
        ++count;
      }
      counts[y * width + x] = count;
    }
  }
}

// The loops in the order that walks memory forward: what anyone would write who has measured once.
void matmul(const float* a, const float* b, float* c, uint32_t n, uint32_t begin, uint32_t end) {
  for (uint32_t row = begin; row < end; ++row) {
    std::fill_n(c + row * n, n, 0.0f);
    for (uint32_t k = 0; k < n; ++k) {
      const float factor = a[row * n + k];
      for (uint32_t column = 0; column < n; ++column) c[row * n + column] += factor * b[k * n + column];
    }
  }
}

int reduce(const int* values, uint32_t begin, uint32_t end) {
  int sum = 0;
  for (uint32_t i = begin; i < end; ++i) sum += values[i];
  return sum;
}

int scan(const int* values, int* sums, uint32_t begin, uint32_t end) {
  int sum = 0;
  for (uint32_t i = begin; i < end; ++i) sums[i] = sum += values[i];
  return sum;
}

void add_before(int* sums, int before, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end; ++i) sums[i] += before;
}

void histogram(const unsigned char* bytes, uint32_t* bins, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end; ++i) ++bins[bytes[i] % 64];
}

void stencil(const float* from, float* to, uint32_t width, uint32_t height, uint32_t begin, uint32_t end) {
  for (uint32_t y = begin; y < end; ++y) {
    const uint32_t row = y * width;
    if (y == 0 || y == height - 1) {
      std::copy_n(from + row, width, to + row);
      continue;
    }
    to[row] = from[row];
    for (uint32_t at = row + 1; at < row + width - 1; ++at) {
      to[at] = 0.2f * (from[at] + from[at - 1] + from[at + 1] + from[at - width] + from[at + width]);
    }
    to[row + width - 1] = from[row + width - 1];
  }
}

namespace {

// Abramowitz and Stegun 26.2.17, as the kernel has it.
float normal(float d) {
  const float k = 1.0f / (1.0f + 0.2316419f * std::fabs(d));
  const float tail =
      0.39894228f * std::exp(-0.5f * d * d) *
      (k * (0.31938153f + k * (-0.356563782f + k * (1.781477937f + k * (-1.821255978f + k * 1.330274429f)))));
  return d > 0 ? 1.0f - tail : tail;
}

}  // namespace

void black_scholes(const float* price, const float* strike, const float* years, float* call, float* put,
                   float rate, float volatility, uint32_t begin, uint32_t end) {
  for (uint32_t i = begin; i < end; ++i) {
    const float root = std::sqrt(years[i]);
    const float d1 = (std::log(price[i] / strike[i]) + (rate + 0.5f * volatility * volatility) * years[i]) /
                     (volatility * root);
    const float d2 = d1 - volatility * root;
    const float discounted = strike[i] * std::exp(-rate * years[i]);
    call[i] = price[i] * normal(d1) - discounted * normal(d2);
    put[i] = discounted * (1.0f - normal(d2)) - price[i] * (1.0f - normal(d1));
  }
}

void transpose(const float* from, float* to, uint32_t width, uint32_t height, uint32_t begin, uint32_t end) {
  for (uint32_t y = begin; y < end; ++y) {
    for (uint32_t x = 0; x < width; ++x) to[x * height + y] = from[y * width + x];
  }
}

void accelerations(const Body* bodies, float* ax, float* ay, float* az, uint32_t count, uint32_t begin,
                   uint32_t end) {
  for (uint32_t i = begin; i < end; ++i) {
    float sum_x = 0, sum_y = 0, sum_z = 0;
    for (uint32_t k = 0; k < count; ++k) {
      const float dx = bodies[k].x - bodies[i].x, dy = bodies[k].y - bodies[i].y,
                  dz = bodies[k].z - bodies[i].z;
      const float inverse = 1.0f / std::sqrt(dx * dx + dy * dy + dz * dz + 1e-3f);
      const float weight = bodies[k].mass * inverse * inverse * inverse;
      sum_x += dx * weight;
      sum_y += dy * weight;
      sum_z += dz * weight;
    }
    ax[i] = sum_x;
    ay[i] = sum_y;
    az[i] = sum_z;
  }
}

}  // namespace tessera::bench
