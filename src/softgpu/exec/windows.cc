#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

#include "softgpu/exec/executor.h"

namespace tessera::softgpu::exec {
namespace {

Windows reserve() {
  const uint64_t size = kClusterWindowSize + kLocalWindowSize;
  void* base = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    // No address space: nothing could run, and no caller could mend it.
    std::perror("softgpu: cannot reserve the shared and local address windows");
    std::abort();
  }
  const uint64_t address = reinterpret_cast<uintptr_t>(base);
  return {address, address + kClusterWindowSize};
}

}  // namespace

const Windows& windows() {
  static const Windows instance = reserve();
  return instance;
}

}  // namespace tessera::softgpu::exec
