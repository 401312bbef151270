#include "device.h"

constexpr uint32_t kBlock = 256;
constexpr float kSoftening = 1e-3f;  // squared length

struct alignas(16) Body {
  float x, y, z, mass;
};

// The acceleration of each body by all (G = 1); launched with kBlock threads.
KERNEL accelerations(const Body* bodies, float* ax, float* ay, float* az, uint32_t count) {
  __shared__ Body tile[kBlock];
  const uint32_t i = global_thread(), thread = thread_index().x;
  const Body own = i < count ? bodies[i] : Body{0, 0, 0, 0};
  float sum_x = 0, sum_y = 0, sum_z = 0;
  for (uint32_t start = 0; start < count; start += kBlock) {
    tile[thread] = start + thread < count ? bodies[start + thread] : Body{0, 0, 0, 0};
    barrier();
    for (uint32_t k = 0; k < kBlock; ++k) {
      const float dx = tile[k].x - own.x, dy = tile[k].y - own.y, dz = tile[k].z - own.z;
      const float inverse = __nvvm_rsqrt_approx_f(dx * dx + dy * dy + dz * dz + kSoftening);
      const float weight = tile[k].mass * inverse * inverse * inverse;
      sum_x += dx * weight;
      sum_y += dy * weight;
      sum_z += dz * weight;
    }
    barrier();
  }
  if (i >= count) return;
  ax[i] = sum_x;
  ay[i] = sum_y;
  az[i] = sum_z;
}
