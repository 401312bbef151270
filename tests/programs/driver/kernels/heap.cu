#include "device.h"

using size_t = decltype(sizeof 0);

extern "C" __device__ void* malloc(size_t bytes);
extern "C" __device__ void free(void* piece);

// Each thread takes a piece, fills it and leaves it where the next kernel finds it.
KERNEL take_pieces(uint32_t** pieces, uint32_t words) {
  const uint32_t i = global_thread();
  auto* piece = static_cast<uint32_t*>(malloc(size_t{words} * sizeof(uint32_t)));
  for (uint32_t k = 0; piece != nullptr && k < words; ++k) piece[k] = i * words + k;
  pieces[i] = piece;
}

KERNEL give_back_pieces(uint32_t** pieces, uint32_t words, uint32_t* sums) {
  const uint32_t i = global_thread();
  uint32_t sum = 0;
  for (uint32_t k = 0; k < words; ++k) sum += pieces[i][k];
  free(pieces[i]);
  sums[i] = sum;
}
