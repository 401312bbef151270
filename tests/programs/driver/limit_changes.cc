// Takes and gives back device memory as standard input says, so that a script can change the limit in
// between.
//   take MIB    "taken" or "refused": MIB MiB by cuMemAlloc
//   give        gives back the block taken last
//   show        "FREE TOTAL" in bytes, by cuMemGetInfo; cuDeviceTotalMem must say the same total
// A kernel runs in every block that is taken, and in the blocks that are held after each refusal.
#include <cstring>

#include "driver_check.h"

extern "C" const char memory_ptx[];

namespace {

constexpr uint32_t kCount = 1000;

class Holder {
 public:
  explicit Holder(const check::Context& context) : context_(context), module_(memory_ptx) {}

  void take(size_t mib) {
    CUdeviceptr block = 0;
    const CUresult result = cuMemAlloc_v2(&block, mib << 20);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
      std::puts("refused");
    } else {
      CU_CHECK(result);
      blocks_.push_back(block);
      std::puts("taken");
    }
    for (const CUdeviceptr held : blocks_) work_in(held);
  }

  void give() {
    REQUIRE(!blocks_.empty(), "nothing is held");
    CU_CHECK(cuMemFree_v2(blocks_.back()));
    blocks_.pop_back();
    std::puts("given");
  }

  void show() const {
    size_t free = 0, total = 0, device_total = 0;
    CU_CHECK(cuMemGetInfo_v2(&free, &total));
    CU_CHECK(cuDeviceTotalMem_v2(&device_total, context_.device()));
    REQUIRE(device_total == total, "cuDeviceTotalMem says %zu, cuMemGetInfo %zu", device_total, total);
    std::printf("%zu %zu\n", free, total);
  }

 private:
  void work_in(CUdeviceptr block) const {
    CU_CHECK(cuMemsetD32_v2(block, 1, kCount));
    check::launch(module_.function("add_index"), {8}, {128}, nullptr, block, kCount);
    std::vector<uint32_t> got(kCount), want(kCount);
    CU_CHECK(cuMemcpyDtoH_v2(got.data(), block, kCount * sizeof(uint32_t)));
    for (uint32_t i = 0; i < kCount; ++i) want[i] = i + 1;
    check::require_equal(got, want, "work in a block that is held");
  }

  const check::Context& context_;
  const check::Module module_;
  std::vector<CUdeviceptr> blocks_;
};

}  // namespace

int main() {
  const check::Context context;
  Holder holder(context);
  char line[64];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    size_t mib = 0;
    if (std::sscanf(line, "take %zu", &mib) == 1) {
      holder.take(mib);
    } else if (std::strcmp(line, "give\n") == 0) {
      holder.give();
    } else if (std::strcmp(line, "show\n") == 0) {
      holder.show();
    } else {
      check::fail("unknown command: %s", line);
    }
    std::fflush(stdout);
  }
  return check::pass("all blocks held what was written");
}
