#include "device.h"

constexpr uint32_t kBins = 64;

KERNEL histogram(const unsigned char* bytes, uint32_t count, uint32_t* bins) {
  __shared__ uint32_t local[kBins];
  for (uint32_t bin = thread_index().x; bin < kBins; bin += block_size().x) local[bin] = 0;
  barrier();
  for (uint32_t i = global_thread(); i < count; i += global_threads())
    atomic_add(&local[bytes[i] % kBins], 1u);
  barrier();
  for (uint32_t bin = thread_index().x; bin < kBins; bin += block_size().x)
    atomic_add(&bins[bin], local[bin]);
}

// Weights of a quarter, through global floats and a compare-and-swap loop on their bits.
KERNEL weighted(const unsigned char* bytes, uint32_t count, float* by_add, float* by_swap) {
  const uint32_t i = global_thread();
  if (i >= count) return;
  const float weight = 0.25f * static_cast<float>(bytes[i]);
  atomic_add(&by_add[bytes[i] % 8], weight);
  uint32_t* cell = reinterpret_cast<uint32_t*>(&by_swap[bytes[i] % 8]);
  uint32_t seen = *const_cast<volatile uint32_t*>(cell);
  for (;;) {
    const uint32_t wanted = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, seen) + weight);
    const uint32_t found =
        __nvvm_atom_cas_gen_i(reinterpret_cast<int*>(cell), static_cast<int>(seen), static_cast<int>(wanted));
    if (found == seen) break;
    seen = found;
  }
}
