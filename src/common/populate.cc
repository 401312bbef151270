#include "common/populate.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace tessera {

void populate(void* memory, size_t bytes) {
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto from = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t begin = (from + page - 1) / page * page, end = (from + bytes) / page * page;
  if (begin >= end) return;
  auto* const first = reinterpret_cast<void*>(begin);
  unsigned char is_there = 0;
  if (mincore(first, page, &is_there) != 0 || (is_there & 1) != 0) return;
  // Where the system does not know it, or there is no memory, whoever writes there sees to it.
  (void)madvise(first, end - begin, MADV_POPULATE_WRITE);
}

}  // namespace tessera
