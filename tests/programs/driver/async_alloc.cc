// Stream-ordered allocation: memory that is used and freed in the order of its stream, and the pool behind
// it.
#include "driver_check.h"

extern "C" const char memory_ptx[];

int main() {
  constexpr uint32_t kCount = 65'536;
  constexpr size_t kBytes = kCount * sizeof(uint32_t);
  const check::Context context;
  const check::Module module(memory_ptx);
  const CUfunction add_index = module.function("add_index");
  int supported = 0;
  CU_CHECK(cuDeviceGetAttribute(&supported, CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, context.device()));
  if (!supported) check::skip("the device has no memory pools");

  CUstream stream = nullptr;
  CU_CHECK(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
  std::vector<uint32_t> got(kCount);
  for (uint32_t round = 0; round < 20; ++round) {
    CUdeviceptr first = 0, second = 0;
    CU_CHECK(cuMemAllocAsync(&first, kBytes, stream));
    CU_CHECK(cuMemsetD32Async(first, round, kCount, stream));
    CU_CHECK(cuMemAllocAsync(&second, kBytes, stream));
    check::launch(add_index, {8}, {128}, stream, first, kCount);
    CU_CHECK(cuMemcpyDtoDAsync_v2(second, first, kBytes, stream));
    CU_CHECK(cuMemFreeAsync(first, stream));  // before the copy has run, perhaps: the stream orders it
    CU_CHECK(cuMemcpyDtoHAsync_v2(got.data(), second, kBytes, stream));
    CU_CHECK(cuMemFreeAsync(second, stream));
    CU_CHECK(cuStreamSynchronize(stream));
    for (uint32_t i = 0; i < kCount; ++i) {
      REQUIRE(got[i] == round + i, "round %u: element %u is %u, not %u", round, i, got[i], round + i);
    }
  }

  CUmemoryPool pool = nullptr;
  CU_CHECK(cuDeviceGetDefaultMemPool(&pool, context.device()));
  CU_CHECK(cuMemPoolTrimTo(pool, 0));
  cuuint64_t used = 1, reserved_high = 0;
  CU_CHECK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
  CU_CHECK(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &reserved_high));
  REQUIRE(used == 0, "the pool still counts %llu bytes as used", static_cast<unsigned long long>(used));
  REQUIRE(reserved_high >= kBytes, "the pool's peak of %llu bytes is below what was used at once",
          static_cast<unsigned long long>(reserved_high));
  CU_CHECK(cuStreamDestroy_v2(stream));
  return check::pass("20 rounds of %zu KiB, pool peak %llu KiB", 2 * kBytes >> 10,
                     static_cast<unsigned long long>(reserved_high >> 10));
}
