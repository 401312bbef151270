#include "../../tests/programs/driver/kernels/device.h"

// Work that cannot be shortened, and counted while it runs: each block adds what it did to `done`, which the
// host can read at any time, every kChunk steps.
KERNEL burn(uint64_t* done, uint32_t* states, uint32_t steps) {
  constexpr uint32_t kChunk = 1024;
  const uint32_t i = global_thread();
  uint32_t state = states[i];
  while (steps != 0) {
    const uint32_t now = steps < kChunk ? steps : kChunk;
    for (uint32_t step = 0; step < now; ++step) state = state * 1664525u + 1013904223u;
    steps -= now;
    if (thread_index().x == 0) __nvvm_atom_sys_add_gen_l(reinterpret_cast<long*>(done), now);
  }
  states[i] = state;
}
