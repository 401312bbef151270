// Takes memory in 64 MiB steps until CUDA refuses, works in what it got, gives it back, and gets as much
// again. Argument: the total that the device must show, in bytes (where the program runs in a slice, the
// slice).
#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr size_t kStep = 64u << 20;

struct Memory {
  size_t free = 0, total = 0;
};

Memory memory() {
  Memory m;
  CU_CHECK(cuMemGetInfo_v2(&m.free, &m.total));
  return m;
}

std::vector<CUdeviceptr> take_all() {
  std::vector<CUdeviceptr> blocks;
  for (;;) {
    CUdeviceptr block = 0;
    const CUresult result = cuMemAlloc_v2(&block, kStep);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) return blocks;
    CU_CHECK(result);
    blocks.push_back(block);
    REQUIRE(blocks.size() * kStep <= memory().total, "got %zu bytes of a device of %zu",
            blocks.size() * kStep, memory().total);
  }
}

void give_back(const std::vector<CUdeviceptr>& blocks) {
  for (const CUdeviceptr block : blocks) CU_CHECK(cuMemFree_v2(block));
}

// A refusal leaves the context usable: a kernel runs in the last block that was granted.
void work_in(const check::Module& module, CUdeviceptr block) {
  constexpr uint32_t kCount = 10'000;
  CU_CHECK(cuMemsetD32_v2(block, 1, kCount));
  check::launch(module.function("add_index"), {8}, {128}, nullptr, block, kCount);
  std::vector<uint32_t> got(kCount), want(kCount);
  CU_CHECK(cuMemcpyDtoH_v2(got.data(), block, kCount * sizeof(uint32_t)));
  for (uint32_t i = 0; i < kCount; ++i) want[i] = i + 1;
  check::require_equal(got, want, "work after the refusal");
}

// Where one block of 64 MiB is free: a picture that fits alone does not fit with its smaller levels, nor do
// the six faces of a cubemap; and both leave nothing behind where they are refused.
void arrays_at_the_limit() {
  const size_t free = memory().free;
  REQUIRE(free >= kStep && free < 2 * kStep, "%zu bytes are free", free);
  const size_t height = free / (size_t{2048} * 4 * sizeof(float));
  const CUDA_ARRAY3D_DESCRIPTOR picture{2048, height, 0, CU_AD_FORMAT_FLOAT, 4, 0};
  CUmipmappedArray mipmap = nullptr;
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuMipmappedArrayCreate(&mipmap, &picture, 12));
  const CUDA_ARRAY3D_DESCRIPTOR cube{2048, 2048, 6, CU_AD_FORMAT_FLOAT, 4, CUDA_ARRAY3D_CUBEMAP};
  CUarray faces = nullptr;
  CU_EXPECT(CUDA_ERROR_OUT_OF_MEMORY, cuArray3DCreate_v2(&faces, &cube));
  REQUIRE(memory().free == free, "%zu bytes are free after refusals, %zu before", memory().free, free);
  const CUDA_ARRAY3D_DESCRIPTOR half{2048, height / 2, 0, CU_AD_FORMAT_FLOAT, 4, 0};
  CU_CHECK(cuMipmappedArrayCreate(&mipmap, &half, 12));
  REQUIRE(memory().free < free - kStep / 2, "a mipmap took %zu bytes", free - memory().free);
  CU_CHECK(cuMipmappedArrayDestroy(mipmap));
  REQUIRE(memory().free == free, "%zu bytes are free at the end, %zu before", memory().free, free);
}

}  // namespace

int main(int argc, char** argv) {
  const check::Context context;
  const check::Module module(memory_ptx);
  const Memory before = memory();
  size_t device_total = 0;
  CU_CHECK(cuDeviceTotalMem_v2(&device_total, context.device()));
  REQUIRE(device_total == before.total, "cuDeviceTotalMem says %zu, cuMemGetInfo %zu", device_total,
          before.total);
  if (argc > 1) {
    const size_t expected = std::strtoull(argv[1], nullptr, 10);
    REQUIRE(before.total == expected, "the device shows %zu bytes, not %zu", before.total, expected);
  }
  const std::vector<CUdeviceptr> blocks = take_all();
  REQUIRE(!blocks.empty(), "not one block of 64 MiB");
  REQUIRE(memory().free < 2 * kStep, "refused with %zu bytes free", memory().free);
  work_in(module, blocks.back());
  CU_CHECK(cuMemFree_v2(blocks.back()));
  arrays_at_the_limit();
  give_back({blocks.begin(), blocks.end() - 1});
  REQUIRE(memory().free == before.free, "%zu bytes free at the end, %zu at the start", memory().free,
          before.free);
  const std::vector<CUdeviceptr> again = take_all();
  REQUIRE(again.size() == blocks.size(), "%zu blocks the second time, %zu the first", again.size(),
          blocks.size());
  give_back(again);
  return check::pass("total %zu MiB, granted %zu MiB, refused with CUDA_ERROR_OUT_OF_MEMORY, granted again",
                     before.total >> 20, blocks.size() * kStep >> 20);
}
