#include "remote/front/resident.h"

#include <sys/mman.h>

#include <array>
#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/fd.h"

// Since Linux 5.14; older headers do not name them, and older kernels refuse them.
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

namespace tessera::remote {
namespace {

constexpr size_t kMostMapsBytes = 1 << 20;
constexpr uint64_t kMostMappingBytes = 32 << 20;  // what is larger is data, or room for it
constexpr uint64_t kMostOwnBytes = 16 << 20;      // copied, in all

struct Mapping {
  uint64_t begin = 0, end = 0;
  char access[5] = "";
};

bool read_mapping(const char* line, Mapping& to) {
  return sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &to.begin, &to.end, to.access) == 3 && to.end > to.begin;
}

// Of the caller's arena. Less than what malloc would give back once it is free again.
void use_memory() {
  std::array<std::unique_ptr<std::byte[]>, 24> blocks;
  for (auto& block : blocks) {
    block = std::make_unique_for_overwrite<std::byte[]>(4000);
    *static_cast<volatile std::byte*>(block.get()) = std::byte{};
  }
}

}  // namespace

void make_threads_resident(size_t count) {
  use_memory();
  std::latch all(static_cast<ptrdiff_t>(count));  // at once, or the second would use what the first has left
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < count; ++i) {
    threads.emplace_back([&all] {
      use_memory();
      all.arrive_and_wait();
    });
  }
}

void make_resident() {
  const auto maps = read_file("/proc/self/maps", kMostMapsBytes);
  if (!maps.ok()) return;
  uint64_t own = 0;
  for (size_t at = 0; at < maps->size();) {
    Mapping mapping;
    const bool read = read_mapping(maps->c_str() + at, mapping);
    at = std::min(maps->find('\n', at), maps->size() - 1) + 1;
    const uint64_t bytes = mapping.end - mapping.begin;
    if (!read || mapping.access[0] != 'r' || mapping.access[3] != 'p' || bytes > kMostMappingBytes) continue;
    const bool is_own = mapping.access[1] == 'w';
    if (is_own && (own += bytes) > kMostOwnBytes) return;
    (void)madvise(reinterpret_cast<void*>(mapping.begin), bytes,  // NOLINT(performance-no-int-to-ptr)
                  is_own ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
  }
}

}  // namespace tessera::remote
