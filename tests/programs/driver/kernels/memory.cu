#include "device.h"

__constant__ uint32_t table[64];
__device__ uint32_t results[64];
__device__ uint32_t initialised[4] = {11, 22, 33, 44};

KERNEL look_up(uint32_t factor) {
  const uint32_t i = thread_index().x;
  results[i] = table[63 - i] * factor + initialised[i % 4];
}

KERNEL add_index(uint32_t* values, uint32_t count) {
  for (uint32_t i = global_thread(); i < count; i += global_threads()) values[i] += i;
}
