// Managed memory where the program has taken the addresses that the driver would give it next, as an arena of
// an allocator or the stack of a thread does: other addresses are found. Where the driver is in this process
// its addresses cannot be taken, and there is nothing to find.
#include <sys/mman.h>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr size_t kBytes = 20000, kTaken = 256u << 20, kStep = 2u << 20;
constexpr int kAtOnce = 4;

CUdeviceptr managed() {
  CUdeviceptr memory = 0;
  CU_CHECK(cuMemAllocManaged(&memory, kBytes, CU_MEM_ATTACH_GLOBAL));
  return memory;
}

// What is free of the addresses round `there` and after it. Steps: as many as are free, whatever else is
// there.
size_t take_round(CUdeviceptr there) {
  size_t taken = 0;
  const CUdeviceptr first = there / kStep * kStep;
  for (CUdeviceptr at = first; at < first + kTaken; at += kStep) {
    void* const got = mmap(reinterpret_cast<void*>(at), kStep, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != MAP_FAILED) ++taken;
  }
  return taken;
}

void work(const check::Module& module, CUdeviceptr memory) {
  constexpr uint32_t kCount = kBytes / sizeof(uint32_t);
  auto* const values = reinterpret_cast<uint32_t*>(memory);
  for (uint32_t i = 0; i < kCount; ++i) values[i] = 7;
  check::launch(module.function("add_index"), {(kCount + 127) / 128}, {128}, nullptr, memory, kCount);
  CU_CHECK(cuCtxSynchronize());
  for (uint32_t i = 0; i < kCount; ++i) REQUIRE(values[i] == 7 + i, "values[%u] is %u", i, values[i]);
}

}  // namespace

int main() {
  const check::Context context;
  const check::Module module(memory_ptx);
  const CUdeviceptr there = managed();
  CU_CHECK(cuMemFree_v2(there));
  const size_t taken = take_round(there);
  for (int round = 0; round < 3; ++round) {
    CUdeviceptr all[kAtOnce] = {};
    for (CUdeviceptr& one : all) work(module, one = managed());
    for (const CUdeviceptr one : all) CU_CHECK(cuMemFree_v2(one));
  }
  return check::pass("%zu MiB of the driver's next addresses were taken", taken * (kStep >> 20));
}
