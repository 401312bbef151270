#include "device.h"

// From node to node, `steps` times.
KERNEL walk(const uint64_t* begin, uint64_t* end, uint64_t steps) {
  const uint64_t* node = begin;
  for (uint64_t step = 0; step < steps; ++step) node = reinterpret_cast<const uint64_t*>(*node);
  *end = reinterpret_cast<uint64_t>(node);
}

// What element `i` is at first.
DEVICE uint32_t number(uint64_t i, uint32_t seed) { return static_cast<uint32_t>(i) * 2654435761u + seed; }

KERNEL fill(uint32_t* field, uint64_t count, uint32_t seed) {
  for (uint64_t i = global_thread(); i < count; i += global_threads()) field[i] = number(i, seed);
}

KERNEL advance(uint32_t* field, uint64_t count) {
  for (uint64_t i = global_thread(); i < count; i += global_threads())
    field[i] = field[i] * 1664525u + 1013904223u;
}

KERNEL mistakes(const uint32_t* field, uint64_t count, uint32_t seed, uint32_t age, uint32_t* wrong) {
  for (uint64_t i = global_thread(); i < count; i += global_threads()) {
    uint32_t want = number(i, seed);
    for (uint32_t step = 0; step < age; ++step) want = want * 1664525u + 1013904223u;
    if (field[i] != want) atomic_add(wrong, 1u);
  }
}

KERNEL not_zero(const uint32_t* field, uint64_t count, uint32_t* found) {
  for (uint64_t i = global_thread(); i < count; i += global_threads()) {
    if (field[i] != 0) atomic_add(found, 1u);
  }
}

KERNEL multiply(const uint32_t* a, const uint32_t* b, uint32_t* c, uint32_t side) {
  const uint32_t row = block_index().x, column = thread_index().x;
  uint32_t sum = 0;
  for (uint32_t k = 0; k < side; ++k) sum += a[row * side + k] * b[k * side + column];
  c[row * side + column] = sum;
}

// One exchange of a bitonic sort: partners lie `gap` apart in runs of `run`.
KERNEL sort_step(uint32_t* numbers, uint32_t gap, uint32_t run) {
  const uint32_t i = global_thread(), partner = i ^ gap;
  if (partner <= i) return;
  const uint32_t a = numbers[i], b = numbers[partner];
  const bool ascending = (i & run) == 0;
  if ((a > b) != ascending) return;
  numbers[i] = b;
  numbers[partner] = a;
}
