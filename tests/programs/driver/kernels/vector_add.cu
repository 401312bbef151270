#include "device.h"

KERNEL vector_add(const float* a, const float* b, float* sum, uint32_t count) {
  const uint32_t i = global_thread();
  if (i < count) sum[i] = a[i] + b[i];
}

KERNEL scale(double* values, double factor, uint64_t count) {
  for (uint64_t i = global_thread(); i < count; i += global_threads()) values[i] *= factor;
}
