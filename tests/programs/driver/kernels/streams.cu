#include "device.h"

// A step of a linear congruential generator, `steps` times over: work that cannot be shortened, and whose
// result says how often and in which order it ran.
KERNEL advance(uint32_t* states, uint32_t count, uint32_t steps) {
  const uint32_t i = global_thread();
  if (i >= count) return;
  uint32_t state = states[i];
  for (uint32_t step = 0; step < steps; ++step) state = state * 1664525u + 1013904223u;
  states[i] = state;
}

KERNEL combine(const uint32_t* a, const uint32_t* b, uint32_t* out, uint32_t count) {
  const uint32_t i = global_thread();
  if (i < count) out[i] = a[i] * 31u + b[i];
}
