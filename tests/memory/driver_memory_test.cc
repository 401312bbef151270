// A pool over the driver's virtual memory management: what blocks hold stays, whatever is put behind others.
#include "memory/driver_memory.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

#include "memory/pool/pool.h"
#include "tests/softgpu/private_devices.h"
#include "virtualization/driver_loader.h"

namespace tessera::memory {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kDeviceBytes = 256 * kMiB;

const cuda::DriverTable& driver() {
  static const cuda::DriverTable table = [] {
    Result<cuda::DriverTable> loaded = vgpu::load_driver(SOFTGPU_CUDA);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    CUcontext context = nullptr;
    EXPECT_EQ(loaded->cuInit(0), CUDA_SUCCESS);
    EXPECT_EQ(loaded->cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
    EXPECT_EQ(loaded->cuCtxSetCurrent(context), CUDA_SUCCESS);
    return *loaded;
  }();
  return table;
}

uint64_t free_bytes() {
  size_t free = 0, total = 0;
  EXPECT_EQ(driver().cuMemGetInfo_v2(&free, &total), CUDA_SUCCESS);
  return free;
}

// Words that follow from where they are and what they were written for.
std::vector<uint32_t> words(uint64_t bytes, uint32_t salt) {
  std::vector<uint32_t> words(bytes / 4);
  std::iota(words.begin(), words.end(), salt * 2654435761u);
  return words;
}

void write(uint64_t address, uint64_t bytes, uint32_t salt) {
  ASSERT_EQ(driver().cuMemcpyHtoD_v2(address, words(bytes, salt).data(), bytes / 4 * 4), CUDA_SUCCESS);
}

bool holds(uint64_t address, uint64_t bytes, uint32_t salt) {
  std::vector<uint32_t> read(bytes / 4);
  EXPECT_EQ(driver().cuMemcpyDtoH_v2(read.data(), address, bytes / 4 * 4), CUDA_SUCCESS);
  return read == words(bytes, salt);
}

TEST(DriverMemory, BlocksKeepTheirContentsWhileGranulesMove) {
  const cuda::DriverTable& table = driver();
  const uint64_t free_before = free_bytes();
  Result<DriverMemory> memory = DriverMemory::of_device(table, 0, true);
  ASSERT_TRUE(memory.ok()) << memory.status().message();
  Pool pool(*memory, {.region_bytes = 4 * kDeviceBytes});
  struct Live {
    uint64_t address, bytes;
    uint32_t salt;
  };
  std::vector<Live> live;
  uint64_t live_bytes = 0;
  std::mt19937_64 random(1);
  for (uint32_t turn = 0; turn < 300; ++turn) {
    const uint64_t bytes = uint64_t{4} << random() % 23;
    while (live_bytes + bytes > kDeviceBytes / 10 * 8) {
      std::swap(live[random() % live.size()], live.back());
      const Live& gone = live.back();
      ASSERT_TRUE(holds(gone.address, gone.bytes, gone.salt));
      ASSERT_TRUE(pool.free(gone.address).ok());
      live_bytes -= gone.bytes;
      live.pop_back();
    }
    const Result<uint64_t> made = pool.allocate(bytes);
    ASSERT_TRUE(made.ok()) << made.status().message();
    write(*made, bytes, turn);
    live.push_back({*made, bytes, turn});
    live_bytes += bytes;
  }
  for (const Live& block : live) EXPECT_TRUE(holds(block.address, block.bytes, block.salt));
  EXPECT_GT(pool.stats().stitched_granules, 0u);
  ASSERT_TRUE(pool.close().ok());
  EXPECT_EQ(free_bytes(), free_before);
}

TEST(DriverMemory, AFullDeviceIsAnOrdinaryRefusal) {
  Result<DriverMemory> memory = DriverMemory::of_device(driver(), 0, false);
  ASSERT_TRUE(memory.ok()) << memory.status().message();
  Pool pool(*memory, {.region_bytes = 4 * kDeviceBytes});
  EXPECT_EQ(pool.allocate(2 * kDeviceBytes).status().code(), Code::kResourceExhausted);
  const Result<uint64_t> made = pool.allocate(100 * kMiB);
  EXPECT_TRUE(made.ok()) << made.status().message();
  EXPECT_TRUE(pool.close().ok());
}

}  // namespace
}  // namespace tessera::memory

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::AddGlobalTestEnvironment(new tessera::PrivateDevices);
  return RUN_ALL_TESTS();
}
