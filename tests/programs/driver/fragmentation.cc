// Blocks of very different sizes that come and go while the device is nearly full: no request fails for what
// is free, but lies in pieces. Each block's ends are looked at before it goes.
//
//   driver_fragmentation [REQUESTS [PERCENT]]      so much of what is free at first is in use all the time
#include <cmath>
#include <random>

#include "driver_check.h"

namespace {

constexpr size_t kLeast = 512, kMost = size_t{64} << 20;

struct Block {
  CUdeviceptr at;
  size_t bytes;
  uint32_t mark;
};

class Walk {
 public:
  explicit Walk(size_t most) : most_(most) {}
  ~Walk() {
    for (const Block& block : blocks_) cuMemFree_v2(block.at);
  }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  void request() {
    const size_t bytes = size();
    while (live_ + bytes > most_) free_one();
    Block block{0, bytes, next_++};
    const CUresult result = cuMemAlloc_v2(&block.at, bytes);
    REQUIRE(result == CUDA_SUCCESS, "request %u for %zu bytes is refused (%d) while %zu of %zu are in use",
            next_ - 1, bytes, result, live_, most_);
    CU_CHECK(cuMemcpyHtoD_v2(block.at, &block.mark, sizeof block.mark));
    CU_CHECK(cuMemcpyHtoD_v2(block.at + bytes - sizeof block.mark, &block.mark, sizeof block.mark));
    live_ += bytes;
    blocks_.push_back(block);
  }
  size_t live() const { return live_; }

 private:
  // As often as any from one power of two to the next.
  size_t size() {
    std::uniform_real_distribution<double> exponent(std::log2(kLeast), std::log2(kMost));
    return static_cast<size_t>(std::exp2(exponent(dice_))) / 4 * 4;
  }
  void free_one() {
    std::swap(blocks_[dice_() % blocks_.size()], blocks_.back());
    const Block block = blocks_.back();
    blocks_.pop_back();
    uint32_t ends[2] = {};
    CU_CHECK(cuMemcpyDtoH_v2(&ends[0], block.at, sizeof ends[0]));
    CU_CHECK(cuMemcpyDtoH_v2(&ends[1], block.at + block.bytes - sizeof ends[1], sizeof ends[1]));
    REQUIRE(ends[0] == block.mark && ends[1] == block.mark, "block %u holds %u and %u at its ends",
            block.mark, ends[0], ends[1]);
    CU_CHECK(cuMemFree_v2(block.at));
    live_ -= block.bytes;
  }

  const size_t most_;
  size_t live_ = 0;
  uint32_t next_ = 1;
  std::vector<Block> blocks_;
  std::mt19937_64 dice_{7};
};

}  // namespace

int main(int argc, char** argv) {
  const unsigned long requests = argc > 1 ? std::stoul(argv[1]) : 4000;
  const unsigned long percent = argc > 2 ? std::stoul(argv[2]) : 90;
  const check::Context context;
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  Walk walk(free / 100 * percent);
  for (unsigned long i = 0; i < requests; ++i) walk.request();
  return check::pass("%lu requests with %zu of %zu MiB in use: none refused", requests, walk.live() >> 20,
                     free >> 20);
}
