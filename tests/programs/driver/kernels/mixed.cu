#include "device.h"

extern "C" __device__ int vprintf(const char* format, const void* arguments);

KERNEL say(uint32_t round, int* results) {
  const uint32_t thread = global_thread();
  const struct { uint32_t round, thread; } arguments{round, thread};
  results[thread] = vprintf("mixed %u.%u\n", &arguments);
}

// Each thread one texel of a texture of single floats.
KERNEL fetch(uint64_t texture, float* out, uint32_t width) {
  const uint32_t i = global_thread();
  const float u = static_cast<float>(i % width) + 0.5f, v = static_cast<float>(i / width) + 0.5f;
  float texel, green, blue, alpha;
  asm volatile("tex.2d.v4.f32.f32 {%0, %1, %2, %3}, [%4, {%5, %6}];"
               : "=f"(texel), "=f"(green), "=f"(blue), "=f"(alpha)
               : "l"(texture), "f"(u), "f"(v));
  out[i] = texel;
}
