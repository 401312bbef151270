#include "device.h"

// The grid's workspace, where cooperative groups look for it: 0 outside of a cooperative launch.
DEVICE uint32_t* workspace() {
  uint32_t high, low;
  asm volatile("mov.u32 %0, %%envreg1;" : "=r"(high));
  asm volatile("mov.u32 %0, %%envreg2;" : "=r"(low));
  return reinterpret_cast<uint32_t*>(uint64_t{high} << 32 | low);
}

// Every block has arrived `round` times before any goes on.
DEVICE void meet(volatile uint32_t* arrivals, uint32_t round) {
  barrier();
  if (thread_index().x == 0) {
    fence();
    atomic_add(const_cast<uint32_t*>(arrivals), 1);
    while (*arrivals < round * grid_size().x) {
    }
    fence();
  }
  barrier();
}

// Passes values around the ring of blocks: after r rounds block b has what block b - r began with.
KERNEL pass_on(uint32_t* values, uint32_t* next, uint32_t rounds, uint32_t* found) {
  uint32_t* const place = workspace();
  const uint32_t block = block_index().x, blocks = grid_size().x;
  if (block == 0 && thread_index().x == 0) *found = place != nullptr;
  if (place == nullptr) return;
  uint32_t met = 0;
  for (uint32_t round = 0; round < rounds; ++round) {
    if (thread_index().x == 0) next[block] = values[(block + blocks - 1) % blocks];
    meet(place + 1, ++met);
    if (thread_index().x == 0) values[block] = next[block];
    meet(place + 1, ++met);
  }
}

// The same for a ring over several grids: this one's blocks begin at place `first` of `total`. What they share
// is seen by all devices.
KERNEL pass_between(volatile uint32_t* values, volatile uint32_t* next, uint32_t* arrivals, uint32_t first,
                    uint32_t total, uint32_t rounds) {
  const uint32_t place = first + block_index().x;
  const uint32_t grids = total / grid_size().x;
  uint32_t met = 0;
  for (uint32_t round = 0; round < rounds; ++round) {
    if (thread_index().x == 0) next[place] = values[(place + total - 1) % total];
    meet(arrivals, ++met * grids);
    if (thread_index().x == 0) values[place] = next[place];
    meet(arrivals, ++met * grids);
  }
}
